/** Is what a task's new watchers are given all that there is, or nothing? */
import { describe, expect, it } from "vitest"
import { Backlogs } from "../../../actors/backlogs.ts"
import { type LogEntry, outputSubject, stateSubject } from "../../../core/record.ts"
import { printed, started, submitted, tombstoneOf } from "../../support/task.ts"

const first = (id: string, seq: number): LogEntry => ({ seq, subject: stateSubject(id), record: submitted({ id }) })
const second = (id: string, seq: number): LogEntry => ({
  seq,
  subject: stateSubject(id),
  record: started(submitted({ id }).state),
})
const line = (id: string, seq: number, text = "x"): LogEntry => ({
  seq,
  subject: outputSubject(id),
  record: printed(text, 0),
})
const seqs = (backlogs: Backlogs, id: string): readonly number[] | null =>
  backlogs.of(id)?.map(({ seq }) => seq) ?? null

describe("BK1: whole or nothing", () => {
  it("from the first entry on, each once, of tasks that began after the feed did", () => {
    const backlogs = new Backlogs()
    backlogs.began("t0", first("t0", 1))
    backlogs.begin(1)
    backlogs.add("t0", second("t0", 2))
    backlogs.began("t1", first("t1", 3))
    for (const entry of [first("t1", 3), second("t1", 4), second("t1", 4)]) backlogs.add("t1", entry)
    expect([seqs(backlogs, "t0"), seqs(backlogs, "t1")]).toEqual([null, [3, 4]])
  })

  it("a first entry that comes when the feed is beyond it is of no use", () => {
    const backlogs = new Backlogs()
    backlogs.begin(0)
    backlogs.add("t9", first("t9", 5))
    backlogs.began("t1", first("t1", 4))
    expect(seqs(backlogs, "t1")).toBeNull()
  })

  it("a feed that ended leaves nothing, and another begins anew", () => {
    const backlogs = new Backlogs()
    backlogs.begin(0)
    backlogs.add("t1", first("t1", 1))
    backlogs.end()
    backlogs.began("t2", first("t2", 2))
    expect([seqs(backlogs, "t1"), seqs(backlogs, "t2")]).toEqual([null, null])
    backlogs.begin(2)
    backlogs.add("t1", second("t1", 3))
    expect(seqs(backlogs, "t1")).toBeNull()
  })

  it("of a task that was deleted nothing is left", () => {
    const backlogs = new Backlogs()
    backlogs.begin(0)
    backlogs.add("t1", first("t1", 1))
    backlogs.add("t1", { seq: 2, subject: stateSubject("t1"), record: tombstoneOf(submitted({ id: "t1" }).state) })
    expect(seqs(backlogs, "t1")).toBeNull()
  })
})

describe("BK2: bounded", () => {
  const begun = (): Backlogs => {
    const backlogs = new Backlogs()
    backlogs.begin(0)
    backlogs.add("t1", first("t1", 1))
    return backlogs
  }

  it("in entries of a task", () => {
    const backlogs = begun()
    for (let seq = 2; seq <= 16; seq += 1) backlogs.add("t1", line("t1", seq))
    expect(seqs(backlogs, "t1")).toHaveLength(16)
    backlogs.add("t1", line("t1", 17))
    expect(seqs(backlogs, "t1")).toBeNull()
  })

  it("in output of a task", () => {
    const backlogs = begun()
    backlogs.add("t1", line("t1", 2, "x".repeat(16 * 1024)))
    expect(seqs(backlogs, "t1")).toHaveLength(2)
    backlogs.add("t1", line("t1", 3))
    expect(seqs(backlogs, "t1")).toBeNull()
  })

  it("in tasks: the oldest goes", () => {
    const backlogs = begun()
    for (let n = 0; n < 500; n += 1) backlogs.add(`n${n}`, first(`n${n}`, n + 2))
    expect([seqs(backlogs, "t1"), seqs(backlogs, "n0"), seqs(backlogs, "n499")]).toEqual([null, [2], [501]])
  })
})
