/** What does a row say of its task: when it is due, whether it holds a slot, what an entry changes? */
import { describe, expect, it } from "vitest"
import { dueAtMs, foldAdmission, foldRow, holdsSlot, type TaskRow } from "../../../core/readmodel/row.ts"
import { type LogRecord, stateSubject } from "../../../core/record.ts"
import type { TaskState } from "../../../core/task/state.ts"
import { admitted, AT_MS, ended, output, retried, started, submitted, tombstoneOf } from "../../support/task.ts"

const entry = (seq: number, record: LogRecord) => ({ seq, subject: stateSubject("t1"), record })
const fold = (row: TaskRow | null, seq: number, record: LogRecord): TaskRow => {
  const next = foldRow(row, entry(seq, record))
  if (next === null) throw new Error("the row went away")
  return next
}
const first = submitted({ id: "t1" })
const refused = (state: TaskState) => ended(state, { status: "failed", reason: "expired" })

describe("when is a row due?", () => {
  const due = (spec: Parameters<typeof submitted>[0]["spec"]): number | null =>
    dueAtMs(submitted({ id: "t1", ...(spec && { spec }) }).state)

  it("at its delay, at its start limit, at the earlier of both, or never", () => {
    expect(due({})).toBeNull()
    expect(due({ startAtMs: AT_MS + 5 })).toBe(AT_MS + 5)
    expect(due({ startByMs: AT_MS + 7 })).toBe(AT_MS + 7)
    expect(due({ startAtMs: AT_MS + 5, startByMs: AT_MS + 7 })).toBe(AT_MS + 5)
  })

  it("a running task and one at rest are not", () => {
    const spec = { startByMs: AT_MS + 7 }
    const running = started(submitted({ id: "t1", spec }).state)
    expect(dueAtMs(running.state)).toBeNull()
    expect(dueAtMs(ended(running.state).state)).toBeNull()
  })
})

describe("does a row hold a slot?", () => {
  it("from its admission to its end, and not before or after", () => {
    const row = fold(null, 1, first)
    expect(holdsSlot(row)).toBe(false)
    const waits = foldAdmission(row, 1, 2)
    expect(holdsSlot(waits)).toBe(true)
    const runs = fold(waits, 3, started(first.state))
    expect(holdsSlot(runs)).toBe(true)
    expect(holdsSlot(fold(runs, 4, ended(runs.state)))).toBe(false)
    expect(holdsSlot(fold(runs, 4, retried(runs.state, null)))).toBe(false)
  })

  it("an admission for another epoch, or that came after the end, holds nothing", () => {
    const row = fold(null, 1, first)
    expect(foldAdmission(row, 2, 2)).toBe(row)
    const over = fold(row, 2, refused(first.state))
    expect(foldAdmission(over, 1, 3)).toBe(over)
  })

  it("an admission from before the task ended unstarted does not count after a retry by hand, which waits for the same epoch", () => {
    const waits = foldAdmission(fold(null, 1, first), 1, 2)
    const over = fold(waits, 3, refused(first.state))
    const again = fold(over, 4, retried(over.state, null))
    expect(again.state).toMatchObject({ status: "pending", epoch: 0 })
    expect(holdsSlot(again)).toBe(false)
  })
})

describe("what does an entry do to a row?", () => {
  it("output and control leave it; a tombstone takes it away", () => {
    const row = fold(null, 1, first)
    expect(foldRow(row, entry(2, output([])))).toBe(row)
    expect(foldRow(row, entry(2, admitted()))).toBe(row)
    expect(foldRow(row, entry(2, tombstoneOf(row.state)))).toBeNull()
  })

  it("purged output is forgotten when the task runs again", () => {
    const over = { ...fold(null, 1, refused(first.state)), outputPurged: true }
    expect(fold(over, 2, refused(first.state)).outputPurged).toBe(true)
    expect(fold(over, 2, retried(over.state, null)).outputPurged).toBe(false)
  })
})
