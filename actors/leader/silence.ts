/** Attempts of which their workers say nothing for longer than any of theirs may take (RC5 of reconciler.ts). */
import type { WorkerInfo } from "../../core/ports/workers.ts"
import type { TaskRow } from "../../core/readmodel/row.ts"
import type { Seq } from "../../core/record.ts"

/** Nothing of the program runs any more, or it stands still: its worker has said so. */
const IS_NOT_RUNNING: readonly string[] = ["collecting", "fenced"]

/**
 * From the record of a container until its program begins, of which no record tells: the line of starts (120 s), the start itself
 * (60 s), and, beside a time limit, what bringing the program in may take (30 s). Each has a limit of its own where it happens.
 */
const BEGIN_MS_MAX = 210_000

/**
 * How long each running attempt has been at the same record, on this node's own monotonic clock: a step of the wall clock ends
 * nothing. While an engine does not answer, or an image is being brought, no time counts: that is waited for.
 */
export class Silences {
  #since = new Map<string, { readonly seq: Seq; readonly monoMs: number }>()
  #seen = new Map<string, { readonly seq: Seq; readonly monoMs: number }>()

  /**
   * @param holder - what the registry knows of the task's worker; absent: nothing
   * @param overdueMs - beyond time limit and grace
   */
  isOverdue(
    { seq, state }: Pick<TaskRow, "seq" | "state">,
    holder: WorkerInfo | undefined,
    now: { readonly nowMs: number; readonly monoMs: number; readonly overdueMs: number },
  ): boolean {
    const { graceMs, kind, timeoutMs } = state.spec
    const isPlaced = kind === "handler" || state.holder?.containerId !== null
    const isBusy = isPlaced && holder?.kinds.includes(kind) === true && !IS_NOT_RUNNING.includes(state.phase)
    if (state.holder === null || !isBusy) return false
    const before = this.#since.get(state.id)
    const silence = before?.seq === seq ? before : { seq, monoMs: now.monoMs }
    this.#seen.set(state.id, silence)
    const beginMs = kind === "handler" ? 0 : timeoutMs + BEGIN_MS_MAX
    const silentMs = now.monoMs - silence.monoMs
    return now.nowMs >= state.holder.overdueAtMs && silentMs >= beginMs + timeoutMs + graceMs + now.overdueMs
  }

  /** Forgets what this pass did not ask about. */
  endOfPass(): void {
    this.#since = this.#seen
    this.#seen = new Map()
  }
}
