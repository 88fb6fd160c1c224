/**
 * What each accepted message comes to, as facts. Policies are applied here and nowhere else: whether an attempt is retried,
 * when, and how a lost one ends. **The line that decides a retry is `endsForRetry`.**
 */
import { LIMITS } from "../limits.ts"
import { retryDelayMs, type RetryPolicy } from "../policy/retry.ts"
import type { EndReason, Status } from "../words.ts"
import type { LossCause, TaskFact } from "./facts.ts"
import type { TaskMessage } from "./messages.ts"
import { type AttemptResult, NO_OUTPUT } from "./result.ts"
import { type LeftPlace, leftOn, type TaskState } from "./state.ts"

type Args = { readonly context: TaskState; readonly event: TaskMessage }
type Message<T extends TaskMessage["type"]> = Extract<TaskMessage, { type: T }>

/** Reasons that another attempt cannot change. */
const FINAL_REASONS: readonly EndReason[] = ["refused", "expired", "quarantined", "cancelled", "killed"]
/** Paces a task whose backend failed; the breaker does the rest, and nobody's attempt is used up. */
const INFRASTRUCTURE_RETRY: RetryPolicy = {
  maxAttempts: Number.MAX_SAFE_INTEGER,
  delayMsInitial: 2_000,
  delayMsMax: 2_000,
  factor: 1,
}

function narrow<T extends TaskMessage["type"]>(event: TaskMessage, ...types: readonly T[]): Message<T> {
  if (!types.includes(event.type as T))
    throw new Error(`outcome asked for "${event.type}", made for "${types.join(", ")}"`)
  return event as Message<T>
}

/** A result for an attempt that has none of its own: it never started, or nobody saw its end. */
export function resultWithoutExit(
  state: TaskState,
  end: {
    readonly status: AttemptResult["status"]
    readonly reason: EndReason
    readonly message: string
    readonly nowMs: number
  },
): AttemptResult {
  return {
    status: end.status,
    reason: end.reason,
    message: end.message.slice(0, LIMITS.messageBytesMax),
    exitCode: null,
    signal: null,
    attempt: state.attempt,
    epoch: state.epoch,
    startedAtMs: state.holder?.startedAtMs ?? null,
    endedAtMs: end.nowMs,
    wallMs: null,
    cpuMs: null,
    memoryPeakBytes: null,
    stdout: NO_OUTPUT,
    stderr: NO_OUTPUT,
    artifacts: [],
    artifactsMissing: null,
    value: null,
    imageDigest: null,
    policy: null,
    overlapPossible: state.overlapPossible,
  }
}

/** How the running attempt ends under this message; null: it does not end, the task only waits again. */
function endOf(state: TaskState, event: TaskMessage): AttemptResult | null {
  if (event.type === "exit") {
    const result = { ...event.result, overlapPossible: state.overlapPossible || event.result.overlapPossible }
    if (state.stop === null || result.status === "completed" || result.status === "cancelled") return result
    return { ...result, status: "cancelled", reason: state.stop.mode === "kill" ? "killed" : "cancelled" }
  }
  const { message, nowMs } = narrow(event, "lose")
  if (state.stop !== null) return resultWithoutExit(state, { status: "cancelled", reason: "cancelled", message, nowMs })
  if (causeOf(state, event) !== "worker") return null
  if (state.workerDeaths + 1 >= LIMITS.workerDeathsMax) {
    const quarantine = `quarantined: ${state.workerDeaths + 1} workers died while they ran this task`
    return resultWithoutExit(state, { status: "failed", reason: "quarantined", message: quarantine, nowMs })
  }
  if (state.spec.onLost === "fail")
    return resultWithoutExit(state, { status: "failed", reason: "worker_lost", message, nowMs })
  return null
}

export const endStatus = (state: TaskState, event: TaskMessage): Status | null => endOf(state, event)?.status ?? null

/** The line that decides a retry: attempts left, and an end that another attempt may change. */
export function endsForRetry(state: TaskState, event: TaskMessage): boolean {
  const result = endOf(state, event)
  return (
    result !== null &&
    (result.status === "failed" || result.status === "timeout") &&
    !FINAL_REASONS.includes(result.reason) &&
    state.attempt < state.maxAttempts
  )
}

export const started = ({ context, event }: Args): readonly TaskFact[] => {
  const { epoch, worker, engineId, admission, overdueMs, nowMs } = narrow(event, "start")
  const overdueAtMs = nowMs + context.spec.timeoutMs + context.spec.graceMs + overdueMs
  // Whoever starts on an engine has removed what was left there; of all others nobody knows.
  const overlaps = (context.left?.length ?? 0) > leftOn(context, engineId).length
  const { attempt } = context
  const overlap = overlaps ? ({ overlapPossible: true } as const) : {}
  return [{ type: "started", epoch, attempt, worker, engineId, admission, overdueAtMs, ...overlap, atMs: nowMs }]
}

/** A container that was never recorded was never fed: nothing of the program ran, and nothing is counted. */
const wasNeverFed = ({ holder, spec }: TaskState): boolean => spec.kind !== "handler" && holder?.containerId === null

/** Why the attempt is lost, by what the log knows of it. */
export const causeOf = (state: TaskState, event: TaskMessage): LossCause | null => {
  if (event.type !== "lose") return null
  return event.left === true && wasNeverFed(state) ? "infrastructure" : event.cause
}

/** What the holder of an attempt whose end nobody saw may have left running. */
const leftBy = (state: TaskState, event: TaskMessage): { readonly left?: LeftPlace } => {
  const { holder } = state
  return "left" in event && event.left === true && holder !== null && !wasNeverFed(state)
    ? { left: { engineId: holder.engineId, runEpoch: holder.runEpoch } }
    : {}
}

export const updated = ({ event }: Args): readonly TaskFact[] => {
  const { lane, labels, nowMs } = narrow(event, "update")
  return [{ type: "updated", ...(lane && { lane }), ...(labels && { labels }), atMs: nowMs }]
}

export const woken = ({ event }: Args): readonly TaskFact[] => [{ type: "woken", atMs: narrow(event, "wake").nowMs }]

export const cancelledBeforeStart = ({ context, event }: Args): readonly TaskFact[] => {
  const { mode, nowMs } = narrow(event, "cancel")
  const end = {
    status: "cancelled",
    reason: mode === "kill" ? "killed" : "cancelled",
    message: "stopped before it started",
    nowMs,
  } as const
  return [{ type: "ended", result: resultWithoutExit(context, end), atMs: nowMs }]
}

export const refused = ({ context, event }: Args): readonly TaskFact[] => {
  const { reason, message, nowMs } = narrow(event, "refuse")
  return [
    { type: "ended", result: resultWithoutExit(context, { status: "failed", reason, message, nowMs }), atMs: nowMs },
  ]
}

export const placed = ({ event }: Args): readonly TaskFact[] => {
  const { epoch, containerId, imageDigest, policy, nowMs } = narrow(event, "place")
  return [{ type: "placed", epoch, containerId, imageDigest, policy, atMs: nowMs }]
}

export const phased = ({ event }: Args): readonly TaskFact[] => {
  const { epoch, phase, nowMs } = narrow(event, "phase")
  return [{ type: "phased", epoch, phase, atMs: nowMs }]
}

export const adopted = ({ context, event }: Args): readonly TaskFact[] => {
  const { worker, containerId, overdueMs, nowMs } = narrow(event, "adopt")
  const overdueAtMs = nowMs + context.spec.timeoutMs + context.spec.graceMs + overdueMs
  return [{ type: "adopted", epoch: context.epoch + 1, worker, containerId, overdueAtMs, atMs: nowMs }]
}

export const stopRequested = ({ event }: Args): readonly TaskFact[] => {
  const { mode, by, nowMs } = narrow(event, "cancel")
  return [{ type: "stopRequested", stop: { mode, by, atMs: nowMs }, atMs: nowMs }]
}

export const ended = ({ context, event }: Args): readonly TaskFact[] => {
  const result = endOf(context, event)
  if (result === null) throw new Error(`"${event.type}" was taken for an end`)
  return [{ type: "ended", result, ...leftBy(context, event), atMs: narrow(event, "exit", "lose").nowMs }]
}

export const endedThenRetried = (args: Args): readonly TaskFact[] => {
  const { attempt, maxAttempts, spec } = args.context
  const { jitter01, nowMs } = narrow(args.event, "exit", "lose")
  const wakeAtMs = nowMs + retryDelayMs(spec.retry, attempt, jitter01)
  return [...ended(args), { type: "retried", attempt: attempt + 1, maxAttempts, wakeAtMs, by: "policy", atMs: nowMs }]
}

export const lost = ({ context, event }: Args): readonly TaskFact[] => {
  const { epoch, message, overlapPossible, jitter01, nowMs, ...lose } = narrow(event, "lose")
  const cause = causeOf(context, event) ?? lose.cause
  const workerDeaths = context.workerDeaths + (cause === "worker" ? 1 : 0)
  const wakeAtMs = cause === "infrastructure" ? nowMs + retryDelayMs(INFRASTRUCTURE_RETRY, 1, jitter01) : null
  return [
    {
      type: "lost",
      epoch,
      cause,
      message: message.slice(0, LIMITS.messageBytesMax),
      workerDeaths,
      overlapPossible,
      wakeAtMs,
      ...leftBy(context, event),
      atMs: nowMs,
    },
  ]
}

export const retriedByHand = ({ context, event }: Args): readonly TaskFact[] => {
  const { by, nowMs } = narrow(event, "retry")
  const attempt = context.attempt + 1
  return [
    {
      type: "retried",
      attempt,
      maxAttempts: Math.max(context.maxAttempts, attempt),
      wakeAtMs: null,
      by,
      workerDeaths: 0,
      atMs: nowMs,
    },
  ]
}
