/** Whether the holder of a running task still holds it, by what the workers' leases say (LW2 to LW4 of lossWatch.ts). */
import type { Lease } from "../../core/ports/leases.ts"
import type { LossCause } from "../../core/task/facts.ts"
import type { Holder, TaskState } from "../../core/task/state.ts"
import { workerLeaseData } from "../../core/workerLease.ts"

const ABSENCES_MAX = 2

export interface Loss {
  readonly cause: LossCause
  readonly message: string
}

const keyOf = (taskId: string, { epoch }: Holder): string => `${taskId}/${epoch}`

export class Holdings {
  /** Of each task that its holder did not list: in which revision last, and in how many since the first. */
  readonly #absences = new Map<string, { readonly revision: number; readonly times: number }>()

  /**
   * Null: it is held, or somebody sees to it.
   *
   * @param lease - the holder's, in a list that was read after the task's row; absent: there is none
   * @param claimed - workers whose tasks a living worker is settling
   */
  lossOf(taskId: string, holder: Holder, lease: Lease | undefined, claimed: ReadonlySet<string>): Loss | null {
    if (lease !== undefined && !lease.revoked) {
      return this.#isMissing(keyOf(taskId, holder), lease, listsIt(lease, taskId, holder))
        ? { cause: "worker", message: `worker ${holder.worker} does not hold it` }
        : null
    }
    if (claimed.has(holder.worker)) return null
    return lease !== undefined && workerLeaseData(lease).detached
      ? { cause: "detached", message: `worker ${holder.worker} was stopped and no successor came for it` }
      : { cause: "worker", message: `worker ${holder.worker} was lost: its lease was not renewed` }
  }

  /** Forgets all others. */
  keepOnly(running: readonly TaskState[]): void {
    const keys = new Set(running.flatMap(({ holder, id }) => (holder === null ? [] : [keyOf(id, holder)])))
    for (const key of this.#absences.keys()) if (!keys.has(key)) this.#absences.delete(key)
  }

  #isMissing(key: string, lease: Lease, holds: boolean): boolean {
    const known = this.#absences.get(key)
    if (holds) this.#absences.delete(key)
    else if (known === undefined) this.#absences.set(key, { revision: lease.revision, times: 0 })
    else if (lease.revision > known.revision)
      this.#absences.set(key, { revision: lease.revision, times: known.times + 1 })
    return (this.#absences.get(key)?.times ?? 0) >= ABSENCES_MAX
  }
}

const listsIt = (lease: Lease, taskId: string, { epoch }: Holder): boolean =>
  workerLeaseData(lease).held.some(([id, held]) => id === taskId && held === epoch)
