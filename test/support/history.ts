/** Random histories of a log, and what a trivial model says that must come of them. */
import * as fc from "fast-check"
import { Effect } from "effect"
import { expect } from "vitest"
import type { BerthError } from "../../core/errors.ts"
import type { EventLog } from "../../core/ports/eventLog.ts"
import type { ReadModel } from "../../core/ports/readModel.ts"
import {
  CONTROL_SUBJECT,
  type LogEntry,
  type LogRecord,
  outputSubject,
  stateSubject,
  type TaskRecord,
} from "../../core/record.ts"
import { LANES } from "../../core/words.ts"
import { codeOf } from "./code.ts"
import { admitted, AT_MS, ended, printed, retried, started, submitted, tombstoneOf, updated } from "./task.ts"

type Log = EventLog["Service"]

export type Step =
  | { readonly type: "advance"; readonly task: number; readonly stale: boolean; readonly choice: number }
  | { readonly type: "output" | "purge" | "forget" | "read"; readonly task: number }
  | { readonly type: "entomb"; readonly task: number; readonly stale: boolean }
  | { readonly type: "admit"; readonly tasks: readonly number[]; readonly stale: boolean }

const TASKS = 5
const task = fc.nat({ max: TASKS - 1 })
const stale = fc.nat({ max: 5 }).map((n) => n === 0)

export const history: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({ type: fc.constant("advance" as const), task, stale, choice: fc.nat({ max: 5 }) }),
    },
    { weight: 3, arbitrary: fc.record({ type: fc.constantFrom("output" as const, "read" as const), task }) },
    {
      weight: 2,
      arbitrary: fc.record({
        type: fc.constant("admit" as const),
        tasks: fc.uniqueArray(task, { maxLength: 3 }),
        stale,
      }),
    },
    { weight: 1, arbitrary: fc.record({ type: fc.constantFrom("purge" as const, "forget" as const), task }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant("entomb" as const), task, stale }) },
  ),
  { minLength: 1, maxLength: 60 },
)

const idOf = (index: number): string => `task${index}`

/** The log as a list: what every adapter must agree with. */
export class TrivialLog {
  entries: LogEntry[] = []
  head = 0

  last(subject: string): LogEntry | null {
    return this.entries.filter((entry) => entry.subject === subject).at(-1) ?? null
  }
  version(subject: string): number {
    return this.last(subject)?.seq ?? 0
  }
  add(seq: number, subject: string, record: LogRecord): void {
    expect(seq).toBeGreaterThan(this.head)
    this.head = seq
    this.entries.push({ seq, subject, record })
  }
  drop(...subjects: readonly string[]): void {
    this.entries = this.entries.filter((entry) => !subjects.includes(entry.subject))
  }
}

/** The next record of a task: any that its state allows. */
function nextRecord(last: LogEntry | null, id: string, choice: number): TaskRecord | null {
  const atMs = AT_MS + choice * 10
  if (last === null) {
    const lane = LANES[choice % LANES.length] ?? "normal"
    const spec = {
      lane,
      labels: choice > 2 ? { team: `t${choice}` } : {},
      startByMs: choice === 4 ? AT_MS + 500 : null,
    }
    return submitted({ id, owner: choice % 2 === 0 ? "ann" : "bob", atMs, spec })
  }
  if (last.record.kind !== "task") return null
  const { state } = last.record
  if (choice === 5) return updated(state, { team: `u${choice}`, other: "x" }, atMs)
  if (state.status === "running") {
    if (choice === 0) return retried(state, AT_MS + 777, atMs)
    return ended(state, choice > 2 ? { status: "failed", reason: "exit_nonzero" } : {}, atMs)
  }
  return state.status === "pending" ? started(state, 0, atMs) : updated(state, {}, atMs)
}

/** Does every step on the log and in the model, and compares as it goes. */
export const play = (log: Log, steps: readonly Step[]): Effect.Effect<TrivialLog, BerthError> =>
  Effect.gen(function* () {
    const model = new TrivialLog()
    for (const step of steps) yield* playStep(log, model, step)
    for (let index = 0; index < TASKS; index++) yield* compareTask(log, model, idOf(index))
    return model
  })

const playStep = (log: Log, model: TrivialLog, step: Step): Effect.Effect<void, BerthError> =>
  Effect.gen(function* () {
    const id = "task" in step ? idOf(step.task) : ""
    const subject = stateSubject(id)
    const version = model.version(subject)
    switch (step.type) {
      case "advance": {
        const record = nextRecord(model.last(subject), id, step.choice)
        if (record === null) return
        if (step.stale) expect(yield* codeOf(log.append(subject, version + 1, record))).toBe("VERSION_CONFLICT")
        else model.add(yield* log.append(subject, version, record), subject, record)
        return
      }
      case "output": {
        const record = printed(`line of ${id}\n`, model.head)
        return model.add(yield* log.appendOutput(id, record), outputSubject(id), record)
      }
      case "read":
        return yield* compareTask(log, model, id)
      case "admit": {
        const record = admitted(...step.tasks.map((index) => ({ taskId: idOf(index), epoch: 1 })))
        const control = model.version(CONTROL_SUBJECT)
        if (step.stale) expect(yield* codeOf(log.append(CONTROL_SUBJECT, control + 1, record))).toBe("VERSION_CONFLICT")
        else model.add(yield* log.append(CONTROL_SUBJECT, control, record), CONTROL_SUBJECT, record)
        return
      }
      case "purge":
        yield* log.purgeOutput(id)
        return model.drop(outputSubject(id))
      case "forget":
        yield* log.forget(id)
        return model.last(subject)?.record.kind === "tombstone" ? model.drop(subject, outputSubject(id)) : undefined
      case "entomb": {
        const last = model.last(subject)
        if (last?.record.kind !== "task") return
        const tombstone = tombstoneOf(last.record.state)
        if (step.stale) {
          expect(yield* codeOf(log.entomb(id, version + 1, tombstone))).toBe("VERSION_CONFLICT")
          return
        }
        const seq = yield* log.entomb(id, version, tombstone)
        model.drop(subject, outputSubject(id))
        return model.add(seq, subject, tombstone)
      }
    }
  })

const compareTask = (log: Log, model: TrivialLog, id: string): Effect.Effect<void, BerthError> =>
  Effect.gen(function* () {
    const own = model.entries.filter(
      (entry) => entry.subject === stateSubject(id) || entry.subject === outputSubject(id),
    )
    expect(yield* log.last(id)).toEqual(model.last(stateSubject(id)))
    expect(yield* log.readTask(id, 0, 200)).toEqual(own)
    expect(yield* log.lastControl).toEqual(model.last(CONTROL_SUBJECT))
  })

/** Every answer of a read model that a history can change. */
export const answers = (model: ReadModel["Service"]) =>
  Effect.gen(function* () {
    const listed = { owner: null, cursor: null, rowsMax: 500 }
    return {
      all: yield* model.list(listed),
      ann: yield* model.list({ ...listed, owner: "ann" }),
      pending: yield* model.list({ ...listed, statuses: ["pending"] }),
      urgent: yield* model.list({ ...listed, lanes: ["urgent"] }),
      dead: yield* model.list({ ...listed, dead: true }),
      team: yield* model.list({ ...listed, labels: { team: "t3" } }),
      other: yield* model.list({ ...listed, labels: { other: "x" } }),
      page: yield* model.list({ ...listed, rowsMax: 2 }),
      due: yield* model.due(AT_MS + 600, 10),
      nextDueAtMs: yield* model.nextDueAtMs,
      waiting: yield* model.scan("pending", "", 10),
      running: yield* model.scan("running", "task1", 10),
      ended: yield* model.scan("ended", "", 10),
      counts: yield* model.counts(null),
      countsOfAnn: yield* model.counts("ann"),
      endedAll: yield* model.endedBefore(AT_MS + 30, 3, "all"),
      endedWithOutput: yield* model.endedBefore(AT_MS + 30, 10, "withOutput"),
      tombstones: yield* model.tombstonesBefore(AT_MS + 1_000, 10),
    }
  })
