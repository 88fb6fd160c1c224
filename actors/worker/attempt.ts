/**
 * One attempt, live: an XState actor in a worker. It owns the order of steps and the timers; what a step does is in steps.ts.
 *
 *   creating ─▶ placing ─▶ executing ──────────────▶ collecting ─▶ ending ─▶ removing ─▶ done
 *      │           │        starting ─▶ running ─▶ stopping  │        │          ▲
 *      └───────────┴── failed ──▶ losing or refusing ────────┴────────┴──────────┘
 *   detach, from anywhere before `ending` ─▶ detaching ─▶ done
 *   abandon, from anywhere before `ending` ─▶ removing ─▶ done
 *
 *   AT1. A place is recorded before a program is fed to it.
 *   AT2. The end is recorded after the output that it counts is durable.
 *   AT3. Nothing is removed before the end is recorded; everything is removed after it.
 *   AT4. When another epoch has taken over, this attempt writes nothing more and removes only what is its own.
 *   AT5. A stop that comes before the program is fed ends the attempt without running it, and waits for no backend.
 *   AT6. A wish to detach is heeded in every step before `ending`; what has begun to end ends here.
 *   AT7. An attempt whose worker lost its lease is abandoned: it writes nothing, and its place is removed unless a successor
 *        has adopted it. What has begun to end asks the log, which refuses it once somebody has taken over (AT4).
 */
import { assign, fromPromise, setup } from "xstate"
import type { BerthError } from "../../core/errors.ts"
import type { Exit, Placement, StopMode } from "../../core/ports/executor.ts"
import type { AttemptSteps, Collected } from "./steps.ts"

export type AttemptEvent =
  | { readonly type: "began" }
  | { readonly type: "stop"; readonly mode: StopMode }
  | { readonly type: "detach" }
  | { readonly type: "abandon" }

export interface AttemptInput {
  readonly steps: AttemptSteps
  readonly timeoutMs: number
  /** A place made by a predecessor; null: make one. */
  readonly adopted: Placement | null
  /** A stop that was asked for before this actor was. */
  readonly stop: StopMode | null
}

interface AttemptContext extends AttemptInput {
  readonly place: Placement | null
  readonly exit: Exit | null
  readonly collected: Collected
  readonly detachAsked: boolean
  readonly error: BerthError | null
}

const NOTHING_YET = { collected: { artifacts: [], missing: null }, detachAsked: false, error: null } as const
type Steps = { readonly context: AttemptContext }

const stopped = (context: AttemptContext): Exit => ({
  status: context.stop === "deadline" ? "timeout" : "cancelled",
  reason: context.stop === "deadline" ? "deadline" : context.stop === "kill" ? "killed" : "cancelled",
  message: "stopped before the program began",
  exitCode: null,
  signal: null,
  wallMs: null,
  cpuMs: null,
  memoryPeakBytes: null,
  value: null,
})

export const attemptMachine = setup({
  types: { context: {} as AttemptContext, events: {} as AttemptEvent, input: {} as AttemptInput },
  actors: {
    create: fromPromise<Placement, Steps>(({ input, signal }) => input.context.steps.create(signal)),
    record: fromPromise<"current" | "stopped", Steps>(({ input, signal }) =>
      input.context.steps.record(input.context.place, signal),
    ),
    run: fromPromise<Exit, Steps>(({ input, signal }) =>
      input.context.steps.run(input.context.place, input.context.adopted !== null, signal),
    ),
    stop: fromPromise<void, Steps>(({ input, signal }) =>
      input.context.steps.stop(input.context.place, input.context.stop, signal),
    ),
    collect: fromPromise<Collected, Steps>(({ input, signal }) =>
      input.context.steps.collect(input.context.place, signal),
    ),
    end: fromPromise<void, Steps>(({ input, signal }) =>
      input.context.steps.end(input.context.exit, input.context.collected, signal),
    ),
    fail: fromPromise<void, Steps>(({ input, signal }) => input.context.steps.fail(input.context.error, signal)),
    remove: fromPromise<void, Steps>(({ input, signal }) => input.context.steps.remove(input.context.place, signal)),
    detach: fromPromise<void, Steps>(({ input, signal }) => input.context.steps.detach(input.context.place, signal)),
  },
  delays: { deadline: ({ context }) => context.timeoutMs },
  guards: {
    isAdopted: ({ context }) => context.adopted !== null,
    isStopped: ({ context }) => context.stop !== null,
    detachAsked: ({ context }) => context.detachAsked,
    collects: ({ context }) => context.steps.collects,
  },
  actions: {
    rememberStop: assign({
      stop: ({ context, event }) => (event.type === "stop" ? stronger(context.stop, event.mode) : context.stop),
    }),
    deadlinePassed: assign({ stop: ({ context }) => context.stop ?? ("deadline" as const) }),
    endStopped: assign({ exit: ({ context }) => stopped(context) }),
    abandon: ({ context }) => context.steps.abandon(),
  },
}).createMachine({
  id: "attempt",
  initial: "choosing",
  context: ({ input }) => ({ ...input, place: input.adopted, exit: null, ...NOTHING_YET }),
  states: {
    choosing: {
      always: [
        { guard: "isAdopted", target: "executing" },
        { guard: "isStopped", target: "ending", actions: "endStopped" },
        { target: "creating" },
      ],
    },
    creating: {
      on: {
        stop: { target: "ending", actions: ["rememberStop", "endStopped"] },
        detach: "detaching",
        abandon: { target: "removing", actions: "abandon" },
      },
      invoke: {
        src: "create",
        input: ({ context }) => ({ context }),
        onDone: { target: "placing", actions: assign({ place: ({ event }) => event.output }) },
        onError: { target: "failing", actions: assign({ error: ({ event }) => event.error as BerthError }) },
      },
    },
    placing: {
      // The record is on its way: what it says is waited for, so that the place is known to whoever comes next.
      on: {
        stop: { actions: "rememberStop" },
        detach: { actions: assign({ detachAsked: true }) },
        abandon: { target: "removing", actions: "abandon" },
      },
      invoke: {
        src: "record",
        input: ({ context }) => ({ context }),
        onDone: [
          {
            guard: ({ context, event }) => context.stop !== null || event.output === "stopped",
            target: "ending",
            actions: "endStopped",
          },
          { guard: "detachAsked", target: "detaching" },
          { target: "executing" },
        ],
        onError: { target: "failing", actions: assign({ error: ({ event }) => event.error as BerthError }) },
      },
    },
    executing: {
      initial: "choosing",
      on: { detach: "detaching", abandon: { target: "removing", actions: "abandon" } },
      states: {
        choosing: {
          always: [
            { guard: "isStopped", target: "stopping" },
            { guard: "isAdopted", target: "running" },
            { target: "starting" },
          ],
        },
        starting: { on: { began: "running", stop: { target: "stopping", actions: "rememberStop" } } },
        running: {
          after: { deadline: { target: "stopping", actions: "deadlinePassed" } },
          on: { stop: { target: "stopping", actions: "rememberStop" } },
        },
        stopping: {
          invoke: { src: "stop", input: ({ context }) => ({ context }), onError: {} },
          on: { stop: { target: "stopping", reenter: true, actions: "rememberStop" } },
        },
      },
      invoke: {
        src: "run",
        input: ({ context }) => ({ context }),
        onDone: [
          { guard: "collects", target: "collecting", actions: assign({ exit: ({ event }) => event.output }) },
          { target: "ending", actions: assign({ exit: ({ event }) => event.output }) },
        ],
        onError: { target: "failing", actions: assign({ error: ({ event }) => event.error as BerthError }) },
      },
    },
    collecting: {
      on: { detach: "detaching", abandon: { target: "removing", actions: "abandon" } },
      invoke: {
        src: "collect",
        input: ({ context }) => ({ context }),
        onDone: { target: "ending", actions: assign({ collected: ({ event }) => event.output }) },
        onError: {
          target: "ending",
          actions: assign({
            collected: ({ event }) => ({ artifacts: [], missing: (event.error as BerthError).message }),
          }),
        },
      },
    },
    ending: { invoke: { src: "end", input: ({ context }) => ({ context }), onDone: "removing" } },
    failing: { invoke: { src: "fail", input: ({ context }) => ({ context }), onDone: "removing" } },
    removing: { invoke: { src: "remove", input: ({ context }) => ({ context }), onDone: "done" } },
    detaching: { invoke: { src: "detach", input: ({ context }) => ({ context }), onDone: "done", onError: "done" } },
    done: { type: "final" },
  },
})

const STRENGTH: readonly StopMode[] = ["deadline", "cancel", "kill"]
const stronger = (first: StopMode | null, second: StopMode): StopMode =>
  first === null || STRENGTH.indexOf(second) > STRENGTH.indexOf(first) ? second : first
