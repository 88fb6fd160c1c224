/**
 * One attempt, live: an XState actor in a worker. It owns the order of steps and the timers; what a step does is in steps.ts.
 *
 *   creating ─▶ placing ─▶ executing ──────────────▶ collecting ─▶ ending ─▶ removing ─▶ done
 *      │           │        starting ─▶ running ─▶ stopping  │        │          ▲
 *      └───────────┴── failed ──▶ losing or refusing ────────┴────────┴──────────┘
 *   detach, from anywhere before `ending` ─▶ detaching ─▶ done
 *   abandon, from anywhere before `ending` ─▶ removing ─▶ done
 *
 *   AT1. A place that somebody could find again is recorded before a program is fed to it.
 *   AT2. The end is recorded after the output that it counts is durable.
 *   AT3. Nothing is removed before the end is recorded; everything is removed after it.
 *   AT4. When another epoch has taken over, this attempt writes nothing more and removes only what is its own.
 *   AT5. A stop that comes before the program is fed ends the attempt without running it, and waits for no backend.
 *   AT6. A wish to detach is heeded in every step before `ending`; what has begun to end ends here.
 *   AT7. An attempt whose worker lost its lease is abandoned: it writes nothing, and its place is removed unless a successor
 *        has adopted it. What has begun to end asks the log, which refuses it once somebody has taken over (AT4).
 */
import type { Effect } from "effect"
import { and, assign, setup } from "xstate"
import type { BerthError } from "../../core/errors.ts"
import type { Exit, Placement, StopMode } from "../../core/ports/executor.ts"
import type { Collected } from "./artifacts.ts"
import type { StepRunner } from "./stepRunner.ts"
import type { AttemptSteps, StepEnd, StepName } from "./steps.ts"

export type AttemptEvent =
  | { readonly type: "began" }
  | { readonly type: "stop"; readonly mode: StopMode }
  | { readonly type: "detach" }
  | { readonly type: "abandon" }
  | StepEnd

export interface AttemptInput {
  readonly steps: AttemptSteps
  readonly timeoutMs: number
  /** A place made by a predecessor; null: make one. */
  readonly adopted: Placement | null
  /** A stop that was asked for before this actor was. */
  readonly stop: StopMode | null
}

/** What the machine runs its steps with. */
interface MachineInput extends AttemptInput {
  readonly runner: StepRunner
}

interface AttemptContext extends MachineInput {
  readonly place: Placement | null
  readonly exit: Exit | null
  readonly collected: Collected
  readonly detachAsked: boolean
  readonly error: BerthError | null
}

const NOTHING_YET = { collected: { artifacts: [], missing: null }, detachAsked: false, error: null } as const

const EFFECTS: { readonly [S in StepName]: (context: AttemptContext) => Effect.Effect<unknown, BerthError> } = {
  create: ({ steps }) => steps.create(),
  record: ({ place, steps }) => steps.record(place),
  run: ({ adopted, place, steps }) => steps.run(place, adopted !== null),
  stop: ({ place, steps, stop }) => steps.stop(place, stop),
  collect: ({ place, steps }) => steps.collect(place),
  end: ({ collected, exit, steps }) => steps.end(exit, collected),
  fail: ({ error, steps }) => steps.fail(error),
  remove: ({ place, steps }) => steps.remove(place),
  detach: ({ place, steps }) => steps.detach(place),
}

/** The step runs while the machine is in the state. */
const during = <const S extends StepName>(step: S) =>
  ({ entry: { type: "begin", params: { step } }, exit: { type: "leave", params: { step } } }) as const

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
  types: { context: {} as AttemptContext, events: {} as AttemptEvent, input: {} as MachineInput },
  delays: { deadline: ({ context }) => context.timeoutMs },
  guards: {
    isAdopted: ({ context }) => context.adopted !== null,
    isStopped: ({ context }) => context.stop !== null,
    isUnrecorded: ({ event }) => event.type === "create.done" && event.output.containerId === null,
    detachAsked: ({ context }) => context.detachAsked,
    collects: ({ context }) => context.steps.collects,
  },
  actions: {
    begin: ({ context, self }, { step }: { readonly step: StepName }) =>
      context.runner.begin(step, EFFECTS[step](context), (end) => self.send(end)),
    leave: ({ context }, { step }: { readonly step: StepName }) => context.runner.leave(step),
    rememberPlace: assign({
      place: ({ context, event }) => (event.type === "create.done" ? event.output : context.place),
    }),
    rememberStop: assign({
      stop: ({ context, event }) => (event.type === "stop" ? stronger(context.stop, event.mode) : context.stop),
    }),
    deadlinePassed: assign({ stop: ({ context }) => context.stop ?? ("deadline" as const) }),
    endStopped: assign({ exit: ({ context }) => stopped(context) }),
    rememberError: assign({
      error: ({ context, event }) => ("error" in event ? (event.error as BerthError) : context.error),
    }),
    abandon: ({ context }) => context.steps.abandon(),
    /** A defect of ours: the supervisor hands the attempt back. */
    crash: ({ event }) => {
      throw "error" in event ? event.error : new Error(`the attempt cannot go on after ${event.type}`)
    },
  },
}).createMachine({
  id: "attempt",
  initial: "choosing",
  context: ({ input }) => ({ ...input, place: input.adopted, exit: null, ...NOTHING_YET }),
  on: {
    "end.failed": { actions: "crash" },
    "fail.failed": { actions: "crash" },
    "remove.failed": { actions: "crash" },
  },
  states: {
    choosing: {
      always: [
        { guard: and(["isAdopted", "isStopped"]), target: "executing.stopping" },
        { guard: "isAdopted", target: "executing.running" },
        { guard: "isStopped", target: "ending", actions: "endStopped" },
        { target: "creating" },
      ],
    },
    creating: {
      ...during("create"),
      on: {
        stop: { target: "ending", actions: ["rememberStop", "endStopped"] },
        detach: "detaching",
        abandon: { target: "removing", actions: "abandon" },
        "create.done": [
          // Nobody could find it again: there is nothing to record.
          { guard: "isUnrecorded", target: "executing", actions: "rememberPlace" },
          { target: "placing", actions: "rememberPlace" },
        ],
        "create.failed": { target: "failing", actions: "rememberError" },
      },
    },
    placing: {
      ...during("record"),
      // The record is on its way: what it says is waited for, so that the place is known to whoever comes next.
      on: {
        stop: { actions: "rememberStop" },
        detach: { actions: assign({ detachAsked: true }) },
        abandon: { target: "removing", actions: "abandon" },
        "record.done": [
          {
            guard: ({ context, event }) => context.stop !== null || event.output === "stopped",
            target: "ending",
            actions: "endStopped",
          },
          { guard: "detachAsked", target: "detaching" },
          { target: "executing" },
        ],
        "record.failed": { target: "failing", actions: "rememberError" },
      },
    },
    executing: {
      ...during("run"),
      initial: "starting",
      on: {
        detach: "detaching",
        abandon: { target: "removing", actions: "abandon" },
        "run.done": [
          { guard: "collects", target: "collecting", actions: assign({ exit: ({ event }) => event.output }) },
          { target: "ending", actions: assign({ exit: ({ event }) => event.output }) },
        ],
        "run.failed": { target: "failing", actions: "rememberError" },
      },
      states: {
        starting: { on: { began: "running", stop: { target: "stopping", actions: "rememberStop" } } },
        running: {
          after: { deadline: { target: "stopping", actions: "deadlinePassed" } },
          on: { stop: { target: "stopping", actions: "rememberStop" } },
        },
        stopping: {
          ...during("stop"),
          on: { stop: { target: "stopping", reenter: true, actions: "rememberStop" } },
        },
      },
    },
    collecting: {
      ...during("collect"),
      on: {
        detach: "detaching",
        abandon: { target: "removing", actions: "abandon" },
        "collect.done": { target: "ending", actions: assign({ collected: ({ event }) => event.output }) },
        "collect.failed": {
          target: "ending",
          actions: assign({
            collected: ({ event }) => ({ artifacts: [], missing: (event.error as BerthError).message }),
          }),
        },
      },
    },
    ending: { ...during("end"), on: { "end.done": "removing" } },
    failing: { ...during("fail"), on: { "fail.done": "removing" } },
    removing: { ...during("remove"), on: { "remove.done": "done" } },
    detaching: { ...during("detach"), on: { "detach.done": "done", "detach.failed": "done" } },
    done: { type: "final" },
  },
})

const STRENGTH: readonly StopMode[] = ["deadline", "cancel", "kill"]
const stronger = (first: StopMode | null, second: StopMode): StopMode =>
  first === null || STRENGTH.indexOf(second) > STRENGTH.indexOf(first) ? second : first
