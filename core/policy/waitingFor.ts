import type { WorkerInfo } from "../ports/workers.ts"
import type { TaskState } from "../task/state.ts"
import { meets, routeOf } from "./route.ts"
import type { WaitingFor } from "../words.ts"

/** What is known of a task's surroundings beside its own record. */
export interface Surroundings {
  /** Null: not known here, as where records are told one after another. */
  readonly workers: readonly WorkerInfo[] | null
  /** The task's owner holds as many slots as it may. */
  readonly limited: boolean
}

const ALONE: readonly WorkerInfo[] = []

/** Why a task does not go on; null: it does, or it is at rest, or nobody knows. */
export function waitingForOf(state: TaskState, { limited, workers }: Surroundings): WaitingFor | null {
  if (state.status === "running") return isHolderCutOff(state, workers ?? ALONE) ? "backend_unavailable" : null
  if (state.status !== "pending") return null
  if (state.phase === "delayed") return "time"
  const route = routeOf(state.spec)
  const takers = (workers ?? ALONE).filter((worker) => !worker.draining && meets(worker, route))
  const isTaken = takers.some(({ kinds }) => kinds.includes(state.spec.kind))
  if (!isTaken && takers.some((worker) => worker.kindsUnavailable.includes(state.spec.kind)))
    return "backend_unavailable"
  if (state.wakeAtMs !== null) return "time"
  if (workers === null) return null
  if (!isTaken) return "worker"
  return limited ? "owner_limit" : "slot"
}

const isHolderCutOff = ({ holder, spec }: TaskState, workers: readonly WorkerInfo[]): boolean =>
  workers.some(({ kindsUnavailable, worker }) => worker === holder?.worker && kindsUnavailable.includes(spec.kind))
