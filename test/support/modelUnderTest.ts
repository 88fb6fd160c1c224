/** What the contract of the read model needs of an adapter, and entries as a log would give them. */
import { Effect, type Scope } from "effect"
import type { BerthError } from "../../core/errors.ts"
import type { ReadModel } from "../../core/ports/readModel.ts"
import type { ListQuery, TaskRow } from "../../core/readmodel/row.ts"
import { CONTROL_SUBJECT, type LogEntry, type LogRecord, stateSubject } from "../../core/record.ts"
import { isolate } from "./effect.ts"

type Model = ReadModel["Service"]

export interface ModelUnderTest {
  readonly model: Model
  /** Flips a byte of a stored row. */
  readonly damage: (taskId: string) => Effect.Effect<void, BerthError>
}

export interface ReadModelTraits {
  readonly name: string
  /** An empty model, fed through `apply` alone. */
  readonly open: Effect.Effect<ModelUnderTest, BerthError, Scope.Scope>
}

/** Gives records sequences, as a log would. */
export class Script {
  readonly entries: LogEntry[] = []
  add<R extends LogRecord>(record: R): R {
    const subject =
      record.kind === "task"
        ? stateSubject(record.state.id)
        : record.kind === "tombstone"
          ? stateSubject(record.id)
          : CONTROL_SUBJECT
    this.entries.push({ seq: this.entries.length + 1, subject, record })
    return record
  }
}

export const ids = (rows: readonly TaskRow[]): readonly string[] => rows.map((row) => row.state.id)
export const everything: ListQuery = { owner: null, cursor: null, rowsMax: 500 }

type Body = (model: Model, subject: ModelUnderTest) => Effect.Effect<void, BerthError, Scope.Scope>

/** A test over a model of its own. */
export type UseModel = (body: Body) => () => Promise<void>

export const useModel =
  (traits: ReadModelTraits): UseModel =>
  (body) =>
  () =>
    isolate(Effect.flatMap(traits.open, (subject) => body(subject.model, subject)))
