import type { LogEntry, Seq } from "../../core/record.ts"
import type { TaskRow } from "../../core/readmodel/row.ts"
import { SlotFold } from "../../core/policy/slots.ts"
import { routeOf, WaitingIndex } from "../../core/policy/waiting.ts"
import { isAdmissible, nextEpoch, type TaskState } from "../../core/task/state.ts"

/**
 * What the leader knows of the log: who waits and who holds a slot. Read rows first, then the feed from the checkpoint that
 * the rows had; rows may be newer than that, so every task remembers how far it was read.
 */
export class LeaderFold {
  readonly waiting: WaitingIndex
  readonly slots = new SlotFold()
  /** Sequence of the last record applied, of every task that is not at rest. */
  private readonly seqs = new Map<string, Seq>()
  headSeq: Seq = 0

  constructor(starvationMax: number) {
    this.waiting = new WaitingIndex(starvationMax)
  }

  applyRow(row: TaskRow): void {
    this.applyState(row.state, row.seq)
    if (row.admitted !== null)
      this.applyAdmission({ ...admissionOf(row.state), epoch: row.admitted.epoch }, row.admitted.seq)
  }

  applyEntry({ record, seq }: LogEntry): void {
    this.headSeq = Math.max(this.headSeq, seq)
    if (record.kind === "task") this.applyState(record.state, seq)
    if (record.kind === "tombstone") this.forget(record.id)
    if (record.kind === "control" && record.fact.type === "admitted")
      for (const admission of record.fact.admissions) this.applyAdmission(admission, seq)
  }

  applyAdmission(admission: Parameters<SlotFold["applyAdmission"]>[0], seq: Seq): void {
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
  route: routeOf(state.spec.pool, state.spec.kind),
  lane: state.spec.lane,
  epoch: nextEpoch(state),
})
