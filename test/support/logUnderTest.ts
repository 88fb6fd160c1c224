/** What the contract of the event log needs of an adapter. */
import { Effect, type Scope } from "effect"
import { it } from "vitest"
import type { BerthError } from "../../core/errors.ts"
import type { EventLog } from "../../core/ports/eventLog.ts"
import { isolate } from "./effect.ts"

export type Log = EventLog["Service"]

/** An adapter in the hands of a test: the port, and what only its own folder can do. */
export interface LogUnderTest {
  readonly log: Log
  /** The same data as another process, or this one after a restart, sees it. */
  readonly reopen: Effect.Effect<Log, BerthError, Scope.Scope>
  /** Flips a byte of a stored record. */
  readonly damage: (seq: number) => Effect.Effect<void, BerthError>
  /** From now on there is no room for a large record; until `makeRoom`. */
  readonly fill: Effect.Effect<void, BerthError>
  readonly makeRoom: Effect.Effect<void, BerthError>
}

/** What may differ between adapters. */
export interface EventLogTraits {
  readonly name: string
  readonly open: Effect.Effect<LogUnderTest, BerthError, Scope.Scope>
  readonly durability: Log["durability"]
  readonly replicas: number
  /** Rounds of the race for one version. */
  readonly rounds: number
  /** Why a guarantee cannot be put to the test here; absent: it can. */
  readonly untestable?: { readonly EL1?: string; readonly EL10?: string; readonly EL12?: string }
}

type Body = (subject: LogUnderTest) => Effect.Effect<void, BerthError, Scope.Scope>
type Run = () => Promise<void>

export interface LogTests {
  /** A test over a log of its own. */
  readonly use: (body: Body) => Run
  /** Registers a test of a guarantee that some adapters cannot be put to; the skip says why. */
  readonly test: (id: "EL1" | "EL10" | "EL12", title: string, run: Run) => void
}

export const logTests = (traits: EventLogTraits): LogTests => ({
  use: (body) => () => isolate(Effect.flatMap(traits.open, body)),
  test: (id, title, run) => {
    it(`${id} ${title}`, (context) => {
      const reason = traits.untestable?.[id]
      return reason === undefined ? run() : context.skip(reason)
    })
  },
})
