/**
 * The task machine: the only code that decides what happens to a task.
 *
 *             start                       exit (0)
 *   pending ─────────▶ running ────────────────────────▶ completed
 *    ▲ │ ▲ └ cancel ┐   │  │ │ exit, stop was requested
 *    │ │ │          ▼   │  │ └──────────────────────────▶ cancelled
 *    │ │ │     cancelled│  │ exit (≠ 0, deadline), no attempts left
 *    │ │ └── lose ──────┘  └────────────────────────────▶ failed, timeout
 *    │ └──── refuse ────────────────────────────────────▶ failed
 *    └────── exit with attempts left · retry ◀─────────── failed, timeout
 *
 * Invariants:
 *   T1. Pure: no clock, no chance, no I/O. Time and jitter arrive on messages.
 *   T2. completed and cancelled accept no message. failed and timeout accept `retry` only.
 *   T3. Only the next epoch starts, and only the current epoch writes (I3).
 *   T4. Attempts end once: `exit` and `lose` need a running state and leave it (I2).
 *   T5. No `after`, no `invoke`: XState forgets scheduled events in a persisted snapshot and starts an invoked actor again on
 *       restore. A timer is a stored `wakeAtMs`.
 *   T6. The value that the machine reaches is the one that `reduce` makes of the facts it records.
 */
import { setup } from "xstate"
import { isStartable, type TaskState } from "./state.ts"
import type { TaskFact } from "./facts.ts"
import type { TaskMessage } from "./messages.ts"
import * as outcome from "./outcome.ts"

type Args = { readonly context: TaskState; readonly event: TaskMessage }
/** Names what is recorded; `decide` collects it. The machine itself performs nothing. */
const record = (facts: (args: Args) => readonly TaskFact[]) => ({ type: "record" as const, params: facts })

const current = ({ context, event }: Args): boolean => "epoch" in event && context.holder?.epoch === event.epoch

export const taskMachine = setup({
  types: { context: {} as TaskState, events: {} as TaskMessage, input: {} as TaskState },
  guards: {
    admitted: ({ context, event }) => event.type === "start" && isStartable(context, event.epoch, event.nowMs),
    current,
    /** `retry` needs attempts left, a reason that may change, and nobody who asked to stop. */
    endsForRetry: (args) => current(args) && outcome.endsForRetry(args.context, args.event),
    endsCompleted: (args) => current(args) && outcome.endStatus(args.context, args.event) === "completed",
    endsCancelled: (args) => current(args) && outcome.endStatus(args.context, args.event) === "cancelled",
    endsTimeout: (args) => current(args) && outcome.endStatus(args.context, args.event) === "timeout",
    endsFailed: (args) => current(args) && outcome.endStatus(args.context, args.event) === "failed",
    toRunning: (args) => current(args) && args.event.type === "phase" && args.event.phase === "running",
    toStopping: (args) => current(args) && args.event.type === "phase" && args.event.phase === "stopping",
    toCollecting: (args) => current(args) && args.event.type === "phase" && args.event.phase === "collecting",
    toFenced: (args) => current(args) && args.event.type === "phase" && args.event.phase === "fenced",
    stopAsked: (args) => current(args) && args.context.stop !== null,
    /** A backend that failed is given a moment; a task that lost its worker goes on at once. */
    waitsBeforeRestart: (args) => current(args) && outcome.causeOf(args.context, args.event) === "infrastructure",
    /** A second wish counts only when it is stronger than the first. */
    strongerStop: ({ context, event }) =>
      event.type === "cancel" && (context.stop === null || (context.stop.mode === "cancel" && event.mode === "kill")),
    delayIsOver: ({ context, event }) => event.type === "wake" && context.wakeAtMs === event.wakeAtMs,
    labelsOnly: ({ event }) => event.type === "update" && event.lane === undefined,
  },
  actions: {
    record: (_, _params: readonly TaskFact[]) => {},
  },
}).createMachine({
  id: "task",
  context: ({ input }) => input,
  initial: "pending",
  states: {
    pending: {
      initial: "queued",
      states: { queued: {}, delayed: {}, retrying: {} },
      on: {
        start: { guard: "admitted", target: "running", actions: record(outcome.started) },
        wake: { guard: "delayIsOver", target: ".queued", actions: record(outcome.woken) },
        update: { actions: record(outcome.updated) },
        cancel: { target: "cancelled", actions: record(outcome.cancelledBeforeStart) },
        refuse: { target: "failed", actions: record(outcome.refused) },
      },
    },
    running: {
      initial: "starting",
      states: { starting: {}, running: {}, stopping: {}, collecting: {}, fenced: {} },
      on: {
        place: [
          { guard: "stopAsked", target: ".stopping", actions: record(outcome.placed) },
          { guard: "current", target: ".running", actions: record(outcome.placed) },
        ],
        phase: [
          { guard: "toRunning", target: ".running", actions: record(outcome.phased) },
          { guard: "toStopping", target: ".stopping", actions: record(outcome.phased) },
          { guard: "toCollecting", target: ".collecting", actions: record(outcome.phased) },
          { guard: "toFenced", target: ".fenced", actions: record(outcome.phased) },
        ],
        adopt: [
          { guard: "stopAsked", target: ".stopping", actions: record(outcome.adopted) },
          { guard: "current", target: ".running", actions: record(outcome.adopted) },
        ],
        update: { guard: "labelsOnly", actions: record(outcome.updated) },
        cancel: { guard: "strongerStop", target: ".stopping", actions: record(outcome.stopRequested) },
        exit: [
          { guard: "endsForRetry", target: "pending.retrying", actions: record(outcome.endedThenRetried) },
          { guard: "endsCompleted", target: "completed", actions: record(outcome.ended) },
          { guard: "endsCancelled", target: "cancelled", actions: record(outcome.ended) },
          { guard: "endsTimeout", target: "timeout", actions: record(outcome.ended) },
          { guard: "endsFailed", target: "failed", actions: record(outcome.ended) },
        ],
        lose: [
          { guard: "endsForRetry", target: "pending.retrying", actions: record(outcome.endedThenRetried) },
          { guard: "endsCancelled", target: "cancelled", actions: record(outcome.ended) },
          { guard: "endsFailed", target: "failed", actions: record(outcome.ended) },
          { guard: "waitsBeforeRestart", target: "pending.retrying", actions: record(outcome.lost) },
          { guard: "current", target: "pending.queued", actions: record(outcome.lost) },
        ],
      },
    },
    failed: { on: { retry: { target: "pending.queued", actions: record(outcome.retriedByHand) } } },
    timeout: { on: { retry: { target: "pending.queued", actions: record(outcome.retriedByHand) } } },
    completed: { type: "final" },
    cancelled: { type: "final" },
  },
})

/** Where in the machine a state stands. */
export function machineValue(state: TaskState) {
  switch (state.status) {
    case "pending":
      return { pending: state.phase }
    case "running":
      return { running: state.phase }
    default:
      return state.status
  }
}
