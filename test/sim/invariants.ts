/**
 * What must be true of the whole after every step, said of the log and the queue and of nobody's opinion of them (I1 to I7).
 */
import { type TaskRow, holdsSlot } from "../../core/readmodel/row.ts"
import type { WakeUp } from "../../core/ports/queue.ts"
import { type ControlRecord, CONTROL_SUBJECT, type LogEntry, type TaskRecord } from "../../core/record.ts"
import { retryDelayMs } from "../../core/policy/retry.ts"
import { SlotFold } from "../../core/policy/slots.ts"
import { nextEpoch, type TaskState } from "../../core/task/state.ts"
import { isAtRest } from "../../core/words.ts"
import type { Life } from "./schedule.ts"

/** Retries of a full second or more that are looked at before their delays are called all alike. */
const DELAYS_MIN = 5

export class Invariants {
  readonly violations: string[] = []
  readonly states = new Map<string, TaskState>()
  /** Sequences of each task's state records. */
  readonly seqs = new Map<string, number[]>()
  readonly fold = new SlotFold()
  readonly #slotsMax: number
  readonly #starts = new Set<string>()
  readonly #ends = new Set<string>()
  /** Delays before retries, as a part of the longest that they might have been. */
  readonly #delays: number[] = []
  /** Whose name is whose; embedded, a life is its worker. */
  readonly #workers = new Map<string, Life>()
  #term = 0
  #isFoldNew = false

  /** @param slotsMax - slots and lookahead of the one pool */
  constructor(slotsMax: number) {
    this.#slotsMax = slotsMax
  }

  /** This life will act under this worker's name. */
  actsAs(life: Life, worker: string): void {
    this.#workers.set(worker, life)
  }

  fail(what: string): void {
    this.violations.push(what)
  }

  appended({ record, seq, subject }: LogEntry, life: Life): void {
    if (record.kind === "task") this.#taskAppended(record, seq, life)
    if (record.kind === "control") this.#controlAppended(record, seq)
    if (subject === CONTROL_SUBJECT || record.kind === "task") this.#isFoldNew = true
  }

  /** I4: who may be forgotten by the queue is known to the log. */
  acked({ epoch, taskId }: WakeUp): void {
    const state = this.states.get(taskId)
    if (state?.status === "pending" && epoch === nextEpoch(state))
      this.fail(`I4: the wake-up of ${taskId} for epoch ${epoch} was acked, and nobody had started it`)
  }

  /** I6, after a step. */
  checkSlots(rows: () => readonly TaskRow[]): void {
    if (!this.#isFoldNew) return
    this.#isFoldNew = false
    const held = rows().filter(holdsSlot)
    const missing = held.filter(({ state }) => this.fold.get(state.id) === null)
    if (missing.length > 0 || held.length !== this.fold.size)
      this.fail(
        `I6: rows hold ${held.length} slots, the fold ${this.fold.size}; missing ${missing.map((row) => row.state.id).join()}`,
      )
    if (this.fold.size !== this.fold.ofPool("default"))
      this.fail(`I6: the fold holds ${this.fold.size} slots, and ${this.fold.ofPool("default")} of the pool`)
    if (held.length > this.#slotsMax) this.fail(`I6: ${held.length} slots are held of ${this.#slotsMax}`)
  }

  checkJitter(): void {
    const alike = this.#delays.every((delay) => delay === this.#delays[0])
    if (this.#delays.length >= DELAYS_MIN && alike)
      this.fail(`retries: ${this.#delays.length} delays, all ${this.#delays[0]} of the longest`)
  }

  #taskAppended({ facts, state }: TaskRecord, seq: number, life: Life): void {
    const before = this.states.get(state.id)
    for (const fact of facts) {
      if (fact.type === "started") this.#started(`${state.id}/${fact.epoch}`, before, fact.epoch)
      if (fact.type === "ended") this.#ended(state, before, fact.result.attempt, fact.result.epoch)
      const isHolders = fact.type === "placed" || fact.type === "phased" || fact.type === "lost"
      if (isHolders && before?.holder?.epoch !== fact.epoch)
        this.fail(`I3: ${fact.type} of ${state.id} at epoch ${fact.epoch}, which ${before?.holder?.epoch} holds`)
      if ((fact.type === "placed" || fact.type === "phased") && !this.#isHeldBy(life, before?.holder?.worker))
        this.fail(`I3: ${fact.type} of ${state.id} by ${life.name}, which ${before?.holder?.worker} holds`)
      if (fact.type === "retried" && fact.by === "policy" && fact.wakeAtMs !== null) {
        const longestMs = retryDelayMs(state.spec.retry, fact.attempt - 1, 1)
        if (longestMs >= 1_000) this.#delays.push((fact.wakeAtMs - fact.atMs) / longestMs)
      }
    }
    if (before !== undefined && state.epoch < before.epoch)
      this.fail(`I3: the epoch of ${state.id} fell to ${state.epoch}`)
    if (before !== undefined && state.epoch > before.epoch + 1)
      this.fail(`I2: ${state.id} leapt to epoch ${state.epoch}`)
    this.states.set(state.id, state)
    this.seqs.set(state.id, [...(this.seqs.get(state.id) ?? []), seq])
    this.fold.applyState(state)
  }

  #isHeldBy(life: Life, worker: string | undefined): boolean {
    if (worker === undefined) return false
    const known = this.#workers.get(worker)
    return known === undefined ? worker === life.name : known === life
  }

  #started(run: string, before: TaskState | undefined, epoch: number): void {
    if (this.#starts.has(run)) this.fail(`I2: ${run} was started twice`)
    this.#starts.add(run)
    if (before?.status !== "pending" || epoch !== nextEpoch(before)) this.fail(`I2: ${run} was started out of turn`)
  }

  #ended(state: TaskState, before: TaskState | undefined, attempt: number, epoch: number): void {
    const end = `${state.id}/${attempt}`
    if (this.#ends.has(end)) this.fail(`I2: attempt ${attempt} of ${state.id} ended twice`)
    this.#ends.add(end)
    if (before === undefined || isAtRest(before.status)) this.fail(`I2: ${state.id} ended at rest`)
    if (before?.status === "running" && before.holder?.epoch !== epoch)
      this.fail(`I3: ${state.id} ended by epoch ${epoch}, which ${before.holder?.epoch} holds`)
  }

  #controlAppended({ fact }: ControlRecord, seq: number): void {
    if (fact.type === "termBegan") {
      if (fact.term <= this.#term) this.fail(`I3: term ${fact.term} began after ${this.#term}`)
      this.#term = fact.term
      return
    }
    if (fact.term !== this.#term) this.fail(`I3: term ${fact.term} admitted in term ${this.#term}`)
    if (fact.type === "admitted") for (const admission of fact.admissions) this.fold.applyAdmission(admission, seq)
  }
}
