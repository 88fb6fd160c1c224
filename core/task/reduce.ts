/**
 * The fold of a task's facts. Plain and total: it applies outcomes that the machine decided and decides nothing, so that
 * old history keeps its meaning under a newer machine.
 *
 *   R1. `epoch` never falls; `attempt` never falls.
 *   R2. `holder` is present exactly while the status is `running`.
 *   R3. completed and cancelled are never left.
 */
import { LIMITS } from "../limits.ts"
import type { TaskFact } from "./facts.ts"
import type { AttemptResult, AttemptSummary } from "./result.ts"
import type { LeftPlace, TaskState } from "./state.ts"

const summaryOf = (result: AttemptResult): AttemptSummary => ({
  attempt: result.attempt,
  epoch: result.epoch,
  status: result.status,
  reason: result.reason,
  exitCode: result.exitCode,
  startedAtMs: result.startedAtMs,
  endedAtMs: result.endedAtMs,
})

const remember = (state: TaskState): readonly AttemptSummary[] =>
  state.result === null ? state.history : [...state.history, summaryOf(state.result)].slice(-LIMITS.attemptsKeptMax)

const submitted = (fact: Extract<TaskFact, { type: "submitted" }>): TaskState => ({
  id: fact.id,
  owner: fact.owner,
  status: "pending",
  phase: fact.spec.startAtMs === null ? "queued" : "delayed",
  attempt: 1,
  maxAttempts: fact.spec.retry.maxAttempts,
  epoch: 0,
  spec: fact.spec,
  wakeAtMs: fact.spec.startAtMs,
  holder: null,
  stop: null,
  workerDeaths: 0,
  overlapPossible: false,
  result: null,
  history: [],
  submittedAtMs: fact.atMs,
  updatedAtMs: fact.atMs,
  endedAtMs: null,
})

/** One more place that may still run; the newest are kept. */
const leftWith = ({ left = [] }: TaskState, more: LeftPlace | undefined): Pick<TaskState, "left"> =>
  more === undefined ? {} : { left: [...left, more].slice(-LIMITS.workerDeathsMax) }

/** The state after one more fact. The first fact of a task is `submitted`; every other one needs a state. */
export function reduce(state: TaskState | null, fact: TaskFact): TaskState {
  if (fact.type === "submitted") return submitted(fact)
  if (state === null) throw new Error(`a task's first fact is "submitted", not "${fact.type}"`)
  return { ...apply(state, fact), updatedAtMs: fact.atMs }
}

function apply(state: TaskState, fact: Exclude<TaskFact, { type: "submitted" }>): TaskState {
  switch (fact.type) {
    case "updated":
      return {
        ...state,
        spec: { ...state.spec, lane: fact.lane ?? state.spec.lane, labels: fact.labels ?? state.spec.labels },
      }
    case "woken":
      return { ...state, phase: "queued", wakeAtMs: null }
    case "started": {
      const { epoch, worker, engineId, overdueAtMs } = fact
      const holder = {
        worker,
        epoch,
        runEpoch: epoch,
        engineId,
        containerId: null,
        imageDigest: null,
        policy: null,
        startedAtMs: fact.atMs,
        overdueAtMs,
      }
      const { left: before = [], ...rest } = state
      const left = before.filter((place) => place.engineId === null || place.engineId !== engineId)
      return {
        ...rest,
        status: "running",
        phase: "starting",
        epoch,
        wakeAtMs: null,
        holder,
        overlapPossible: state.overlapPossible || fact.overlapPossible === true,
        ...(left.length === 0 ? {} : { left }),
      }
    }
    case "placed":
      return {
        ...state,
        phase: state.stop === null ? "running" : "stopping",
        holder: state.holder && {
          ...state.holder,
          containerId: fact.containerId,
          imageDigest: fact.imageDigest,
          policy: fact.policy,
        },
      }
    case "phased":
      return { ...state, phase: fact.phase }
    case "stopRequested":
      return { ...state, phase: "stopping", stop: fact.stop }
    case "adopted": {
      const { epoch, worker, containerId, overdueAtMs } = fact
      const phase = state.stop === null ? "running" : "stopping"
      return {
        ...state,
        phase,
        epoch,
        holder: state.holder && { ...state.holder, epoch, worker, containerId, overdueAtMs },
      }
    }
    case "lost":
      return {
        ...state,
        status: "pending",
        phase: fact.wakeAtMs === null ? "queued" : "retrying",
        wakeAtMs: fact.wakeAtMs,
        holder: null,
        workerDeaths: fact.workerDeaths,
        overlapPossible: state.overlapPossible || fact.overlapPossible,
        ...leftWith(state, fact.left),
      }
    case "ended": {
      const history = remember(state)
      const { status } = fact.result
      return {
        ...state,
        status,
        phase: "ended",
        wakeAtMs: null,
        holder: null,
        history,
        result: fact.result,
        endedAtMs: fact.atMs,
        ...leftWith(state, fact.left),
      }
    }
    case "retried":
      return {
        ...state,
        status: "pending",
        phase: fact.wakeAtMs === null ? "queued" : "retrying",
        attempt: fact.attempt,
        maxAttempts: fact.maxAttempts,
        wakeAtMs: fact.wakeAtMs,
        workerDeaths: fact.workerDeaths ?? state.workerDeaths,
        stop: null,
        endedAtMs: null,
      }
  }
}
