/**
 * Who holds a slot, folded from the log in its order. Nothing is counted up and down: a slot is the presence of a task in
 * this fold, and it is there exactly while `holdsSlot` says so of the task's row (I6).
 */
import type { Admission } from "../record.ts"
import { nextEpoch, type TaskState } from "../task/state.ts"
import { isAtRest } from "../words.ts"

export interface HeldSlot {
  readonly taskId: string
  readonly owner: string
  readonly pool: string
  readonly epoch: number
  /** Sequence of the admission; 0 when only the task's own record is known. */
  readonly admission: number
  readonly running: boolean
  /** Who runs it; null while it waits to be pulled. */
  readonly worker: string | null
}

export class SlotFold {
  private readonly held = new Map<string, HeldSlot>()
  private readonly byOwner = new Map<string, Set<string>>()
  private readonly byPool = new Map<string, Set<string>>()
  /** The epoch that an admission must name, of every task that waits. */
  private readonly waitingEpoch = new Map<string, number>()

  /** One task record. */
  applyState(state: TaskState): void {
    const { id: taskId, owner, spec, status } = state
    if (isAtRest(status)) {
      this.waitingEpoch.delete(taskId)
      return this.release(taskId)
    }
    if (status === "running") {
      this.waitingEpoch.delete(taskId)
      const admission = this.held.get(taskId)?.admission ?? 0
      return this.hold({
        taskId,
        owner,
        pool: spec.pool,
        epoch: state.epoch,
        admission,
        running: true,
        worker: state.holder?.worker ?? null,
      })
    }
    this.waitingEpoch.set(taskId, nextEpoch(state))
    if (this.held.get(taskId)?.epoch !== nextEpoch(state)) this.release(taskId)
  }

  /** One admission; one that came too late for its task holds nothing. */
  applyAdmission({ epoch, owner, pool, taskId }: Admission, seq: number): void {
    if (this.waitsFor(taskId, epoch))
      this.hold({ taskId, owner, pool, epoch, admission: seq, running: false, worker: null })
  }

  /** True while the task waits and an admission for this epoch would hold. */
  waitsFor(taskId: string, epoch: number): boolean {
    return this.waitingEpoch.get(taskId) === epoch
  }

  forget(taskId: string): void {
    this.waitingEpoch.delete(taskId)
    this.release(taskId)
  }

  get(taskId: string): HeldSlot | null {
    return this.held.get(taskId) ?? null
  }

  all(): IterableIterator<HeldSlot> {
    return this.held.values()
  }

  /** Every admission before this sequence is settled: its task was started since, or will never be started by it. */
  settledBefore(): number {
    let oldest = Number.POSITIVE_INFINITY
    for (const { admission, running } of this.held.values()) if (!running) oldest = Math.min(oldest, admission)
    return oldest
  }

  get size(): number {
    return this.held.size
  }

  ofOwner(owner: string): number {
    return this.byOwner.get(owner)?.size ?? 0
  }

  ofPool(pool: string): number {
    return this.byPool.get(pool)?.size ?? 0
  }

  private hold(slot: HeldSlot): void {
    this.held.set(slot.taskId, slot)
    addTo(this.byOwner, slot.owner, slot.taskId)
    addTo(this.byPool, slot.pool, slot.taskId)
  }

  private release(taskId: string): void {
    const slot = this.held.get(taskId)
    if (slot === undefined) return
    this.held.delete(taskId)
    removeFrom(this.byOwner, slot.owner, taskId)
    removeFrom(this.byPool, slot.pool, taskId)
  }
}

function addTo(sets: Map<string, Set<string>>, key: string, taskId: string): void {
  const set = sets.get(key)
  if (set === undefined) sets.set(key, new Set([taskId]))
  else set.add(taskId)
}

function removeFrom(sets: Map<string, Set<string>>, key: string, taskId: string): void {
  const set = sets.get(key)
  set?.delete(taskId)
  if (set?.size === 0) sets.delete(key)
}
