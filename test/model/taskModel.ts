/** Messages for a task, mostly such as its state allows, and what must be true between one state and the next. */
import * as fc from "fast-check"
import { transition } from "xstate"
import { expect } from "vitest"
import { type Decision, decide } from "../../core/task/decide.ts"
import type { LossCause, TaskFact } from "../../core/task/facts.ts"
import { machineValue, taskMachine } from "../../core/task/machine.ts"
import type { TaskMessage, TaskMessageType } from "../../core/task/messages.ts"
import { reduce } from "../../core/task/reduce.ts"
import type { AttemptResult } from "../../core/task/result.ts"
import type { TaskSpec } from "../../core/task/spec.ts"
import { nextEpoch, type TaskState } from "../../core/task/state.ts"
import { isAtRest, type Status } from "../../core/words.ts"
import { AT_MS, resultOf, specOf, submitted } from "../support/task.ts"

/** One choice of a walk: which message, with which wishes. */
export interface Choice {
  readonly pick: number
  /** One in eight messages is any message, at any epoch, allowed or not. */
  readonly junk: boolean
  readonly detail: number
  readonly jitter01: number
}

export const choices = fc.array(
  fc.record({
    pick: fc.nat({ max: 1_000 }),
    junk: fc.nat({ max: 7 }).map((n) => n === 0),
    detail: fc.nat({ max: 1_000 }),
    jitter01: fc.double({ min: 0, max: 0.999, noNaN: true }),
  }),
  { minLength: 1, maxLength: 40 },
)

export const specs: fc.Arbitrary<TaskSpec> = fc
  .record({
    maxAttempts: fc.integer({ min: 1, max: 4 }),
    onLost: fc.constantFrom("retry" as const, "fail" as const),
    startAtMs: fc.constantFrom(null, null, AT_MS + 1_000),
    startByMs: fc.constantFrom(null, null, AT_MS + 1_000_000),
  })
  .map(({ maxAttempts, ...rest }) =>
    specOf({ ...rest, retry: { maxAttempts, delayMsInitial: 1_000, delayMsMax: 60_000, factor: 2 } }),
  )

const TYPES: readonly TaskMessageType[] = [
  "update",
  "start",
  "place",
  "phase",
  "adopt",
  "exit",
  "lose",
  "refuse",
  "wake",
  "cancel",
  "retry",
]

/** Weighted: what keeps a life going comes more often than what ends it. */
const ALLOWED: Record<Status, readonly TaskMessageType[]> = {
  pending: ["start", "start", "start", "start", "wake", "wake", "wake", "update", "cancel", "refuse"],
  running: [
    "place",
    "place",
    "phase",
    "phase",
    "phase",
    "adopt",
    "exit",
    "exit",
    "exit",
    "lose",
    "lose",
    "cancel",
    "update",
  ],
  failed: ["retry"],
  timeout: ["retry"],
  completed: [],
  cancelled: [],
}

const pickOf = <T>(from: readonly T[], n: number): T => from[n % from.length] as T
const ENDS: readonly Pick<AttemptResult, "status" | "reason">[] = [
  { status: "completed", reason: "exit_zero" },
  { status: "failed", reason: "exit_nonzero" },
  { status: "failed", reason: "out_of_memory" },
  { status: "failed", reason: "refused" },
  { status: "timeout", reason: "deadline" },
  { status: "cancelled", reason: "cancelled" },
]

export function messageFor(state: TaskState, choice: Choice, nowMs: number): TaskMessage {
  const allowed = ALLOWED[state.status]
  const junk = choice.junk || allowed.length === 0
  const { detail, jitter01 } = choice
  const type = pickOf(junk ? TYPES : allowed, choice.pick)
  const epoch = junk ? state.epoch + (detail % 4) - 1 : type === "start" ? nextEpoch(state) : state.epoch
  switch (type) {
    case "update":
      return { type, labels: { n: `${detail}` }, ...(detail % 3 === 0 && { lane: "high" as const }), nowMs }
    case "start":
      return { type, epoch, worker: `w${detail % 3}`, engineId: null, admission: detail, overdueMs: 30_000, nowMs }
    case "place":
      return { type, epoch, containerId: `c${detail}`, imageDigest: null, policy: null, nowMs }
    case "phase":
      return { type, epoch, phase: pickOf(["running", "stopping", "collecting", "fenced"] as const, detail), nowMs }
    case "adopt":
      return { type, epoch, worker: `w${detail % 3}`, containerId: `c${detail}`, overdueMs: 30_000, nowMs }
    case "exit":
      return { type, epoch, result: resultOf(state, pickOf(ENDS, detail)), nowMs, jitter01 }
    case "lose": {
      const cause: LossCause = pickOf(["worker", "worker", "infrastructure", "detached"] as const, detail)
      return { type, epoch, cause, message: "lost", overlapPossible: detail % 2 === 0, nowMs, jitter01 }
    }
    case "refuse":
      return { type, reason: pickOf(["refused", "expired", "quarantined"] as const, detail), message: "no", nowMs }
    case "wake":
      return { type, wakeAtMs: junk && detail % 2 === 0 ? detail : (state.wakeAtMs ?? detail), nowMs }
    case "cancel":
      return { type, mode: detail % 3 === 0 ? "kill" : "cancel", by: "ann", nowMs }
    case "retry":
      return { type, by: "ann", nowMs }
  }
}

export interface Step {
  readonly before: TaskState
  readonly message: TaskMessage
  readonly decision: Decision
  readonly after: TaskState
}

/** Walks one task; `nowMs` grows by a little each time, so every state knows its place. */
export function walk(spec: TaskSpec, path: readonly Choice[]): readonly Step[] {
  let state = submitted({ id: "t1", spec }).state
  return path.map((choice, index) => {
    const before = state
    const message = messageFor(before, choice, AT_MS + index + 1)
    const decision = decide(before, message)
    if (decision.type === "accepted") state = decision.state
    return { before, message, decision, after: state }
  })
}

/** The value that the machine itself reaches. */
export function transitionValue(state: TaskState, message: TaskMessage): unknown {
  const snapshot = taskMachine.resolveState({ value: machineValue(state), context: state })
  return transition(taskMachine, snapshot, message)[0].value
}

/** Status changes of DESIGN: what one fact may do. */
const CHANGES: Record<Status, readonly Status[]> = {
  pending: ["pending", "running", "cancelled", "failed"],
  running: ["running", "completed", "failed", "timeout", "cancelled", "pending"],
  failed: ["failed", "pending"],
  timeout: ["timeout", "pending"],
  completed: ["completed"],
  cancelled: ["cancelled"],
}

/** Every state that the facts of one record pass through is a legal change from the one before. */
export function expectLegalChanges(before: TaskState, facts: readonly TaskFact[]): void {
  let state = before
  for (const fact of facts) {
    const next = reduce(state, fact)
    expect(CHANGES[state.status], `${state.status} → ${next.status} by ${fact.type}`).toContain(next.status)
    state = next
  }
}

export function expectReducerInvariants(before: TaskState, after: TaskState): void {
  expect(after.epoch, "R1 epoch").toBeGreaterThanOrEqual(before.epoch)
  expect(after.attempt, "R1 attempt").toBeGreaterThanOrEqual(before.attempt)
  expect(after.holder !== null, "R2").toBe(after.status === "running")
  if (before.status === "completed" || before.status === "cancelled") expect(after, "R3").toBe(before)
  expect(after.attempt).toBeLessThanOrEqual(after.maxAttempts)
  expect(after.maxAttempts).toBeGreaterThanOrEqual(before.maxAttempts)
  if (after.status === "running") expect(after.holder?.epoch).toBe(after.epoch)
  if (isAtRest(after.status)) {
    expect(after.phase).toBe("ended")
    expect(after.wakeAtMs).toBeNull()
    expect(after.result?.status).toBe(after.status)
    expect(after.endedAtMs).not.toBeNull()
  }
  if (after.status === "pending") expect(after.wakeAtMs !== null).toBe(after.phase !== "queued")
}
