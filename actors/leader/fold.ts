import type { Admission, LogEntry, Seq } from "../../core/record.ts"
import type { TaskRow } from "../../core/readmodel/row.ts"
import { SlotFold } from "../../core/policy/slots.ts"
import { routeOf } from "../../core/policy/route.ts"
import { type Waiting, WaitingIndex } from "../../core/policy/waiting.ts"
import { isAdmissible, nextEpoch, type TaskState } from "../../core/task/state.ts"

/**
 * What the leader knows of the log: who waits and who holds a slot. Read rows first, then the feed from the checkpoint that
 * the rows had; rows may be newer than that, so every task remembers how far it was read.
 */
export class LeaderFold {
  readonly waiting: WaitingIndex
  readonly slots = new SlotFold()
  /** Taken out of the index, and their admission not yet durable. */
  readonly admitting = new Set<string>()
  /** Sequence of the last record applied, of every task that is not at rest. */
  private readonly seqs = new Map<string, Seq>()
  headSeq: Seq = 0

  constructor(starvationMax: number) {
    this.waiting = new WaitingIndex(starvationMax)
  }

  applyRow(row: TaskRow): void {
    this.applyState(row.state, row.seq)
    if (row.admitted !== null) this.hold({ ...admissionOf(row.state), epoch: row.admitted.epoch }, row.admitted.seq)
  }

  applyEntry({ record, seq }: LogEntry): void {
    this.headSeq = Math.max(this.headSeq, seq)
    if (record.kind === "task") this.applyState(record.state, seq)
    if (record.kind === "tombstone" && seq > (this.seqs.get(record.id) ?? 0)) this.forget(record.id)
    if (record.kind === "control" && record.fact.type === "admitted")
      for (const admission of record.fact.admissions) this.applyAdmission(admission, seq)
  }

  /** A task that was read further than this admission has it already, or has seen the end of it. */
  applyAdmission(admission: Admission, seq: Seq): void {
    if (seq > (this.seqs.get(admission.taskId) ?? 0)) this.hold(admission, seq)
  }

  /** True when the task waits here, holds a slot, or is just being admitted. */
  knows(taskId: string): boolean {
    return this.waiting.has(taskId) || this.slots.get(taskId) !== null || this.admitting.has(taskId)
  }

  /** Puts back what was taken out of the index and could not be admitted, unless the log has meanwhile said otherwise. */
  giveBack(taken: readonly Waiting[]): void {
    this.waiting.giveBack(
      taken.filter(({ epoch, taskId }) => this.slots.waitsFor(taskId, epoch) && this.slots.get(taskId) === null),
    )
  }

  /** Reads a waiting task's row afresh. False when the log has moved on since the row was read. */
  repair(row: TaskRow, readAtSeq: Seq): boolean {
    const known = this.seqs.get(row.state.id)
    if (known === undefined ? this.headSeq !== readAtSeq : known !== row.seq) return false
    this.forget(row.state.id)
    this.applyRow(row)
    return true
  }

  private hold(admission: Admission, seq: Seq): void {
    this.slots.applyAdmission(admission, seq)
    if (this.slots.get(admission.taskId) !== null) this.waiting.remove(admission.taskId)
  }

  private applyState(state: TaskState, seq: Seq): void {
    if (seq <= (this.seqs.get(state.id) ?? 0)) return
    this.slots.applyState(state)
    if (state.status === "pending" || state.status === "running") this.seqs.set(state.id, seq)
    else this.seqs.delete(state.id)
    if (isAdmissible(state) && this.slots.get(state.id) === null) this.waiting.put(admissionOf(state))
    else this.waiting.remove(state.id)
  }

  private forget(taskId: string): void {
    this.seqs.delete(taskId)
    this.slots.forget(taskId)
    this.waiting.remove(taskId)
  }
}

const admissionOf = (state: TaskState) => ({
  taskId: state.id,
  owner: state.owner,
  pool: state.spec.pool,
  route: routeOf(state.spec),
  lane: state.spec.lane,
  epoch: nextEpoch(state),
})
