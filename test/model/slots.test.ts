/**
 * Slots after random histories: is what the leader folds from rows and feed, whenever it began, what the rows themselves say?
 * Admissions come late, twice, and for epochs that are over; a leader dies between any two writes and another one reads on.
 */
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { LeaderFold } from "../../actors/leader/fold.ts"
import { foldAdmission, foldRow, holdsSlot, type TaskRow } from "../../core/readmodel/row.ts"
import { type Admission, CONTROL_SUBJECT, type ControlRecord, type LogEntry, stateSubject } from "../../core/record.ts"
import { decide } from "../../core/task/decide.ts"
import { isAdmissible, nextEpoch } from "../../core/task/state.ts"
import { AT_MS, submitted, tombstoneOf } from "../support/task.ts"
import { messageFor } from "./taskModel.ts"

const TASKS = 4
const OWNERS = ["ann", "bob"]
const idOf = (task: number): string => `t${task}`
const task = fc.nat({ max: TASKS - 1 })

type Step =
  | { readonly type: "live"; readonly task: number; readonly pick: number; readonly detail: number }
  /** A leader that has read only part of the log admits; `stale` is how many entries it is behind. */
  | { readonly type: "admit"; readonly task: number; readonly stale: number }
  | { readonly type: "purge"; readonly task: number }

const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        type: fc.constant("live" as const),
        task,
        pick: fc.nat({ max: 100 }),
        detail: fc.nat({ max: 100 }),
      }),
    },
    { weight: 3, arbitrary: fc.record({ type: fc.constant("admit" as const), task, stale: fc.nat({ max: 6 }) }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant("purge" as const), task }) },
  ),
  { minLength: 1, maxLength: 60 },
)

/** The log, and the rows after every entry: `rows[n]` is the read model when `n` entries were there. */
class World {
  readonly log: LogEntry[] = []
  readonly rows: ReadonlyMap<string, TaskRow>[] = [new Map()]
  private recordIds = 0

  play(step: Step): void {
    const id = idOf(step.task)
    const row = this.now.get(id)
    if (step.type === "live") {
      if (row === undefined) {
        const owner = OWNERS[step.task % OWNERS.length] ?? "ann"
        const spec = { startAtMs: step.detail % 5 === 0 ? AT_MS + 10 : null, kind: "handler" as const }
        return this.append(stateSubject(id), submitted({ id, owner, spec }))
      }
      const choice = { pick: step.pick, junk: false, detail: step.detail, jitter01: 0.5 }
      const decision = decide(row.state, messageFor(row.state, choice, AT_MS + this.log.length))
      if (decision.type !== "accepted") return
      const { facts, state } = decision
      return this.append(stateSubject(id), { kind: "task", recordId: this.id(), facts, state })
    }
    if (step.type === "purge") {
      if (row?.state.phase === "ended") this.append(stateSubject(id), tombstoneOf(row.state))
      return
    }
    const seen = this.rows[Math.max(0, this.log.length - step.stale)]?.get(id)
    if (seen === undefined || !isAdmissible(seen.state)) return
    const { owner, spec } = seen.state
    const admissions: readonly Admission[] = [{ taskId: id, owner, pool: spec.pool, epoch: nextEpoch(seen.state) }]
    const fact = { type: "admitted" as const, term: 1, admissions, atMs: AT_MS }
    this.append(CONTROL_SUBJECT, { kind: "control", recordId: this.id(), fact })
  }

  get now(): ReadonlyMap<string, TaskRow> {
    return this.rows.at(-1) ?? new Map()
  }

  private id(): string {
    this.recordIds += 1
    return `m${this.recordIds}`
  }

  private append(subject: string, record: LogEntry["record"]): void {
    const entry: LogEntry = { seq: this.log.length + 1, subject, record }
    const rows = new Map(this.now)
    const put = (id: string, row: TaskRow | null): void => void (row === null ? rows.delete(id) : rows.set(id, row))
    if (record.kind === "task") put(record.state.id, foldRow(rows.get(record.state.id) ?? null, entry))
    if (record.kind === "tombstone") put(record.id, foldRow(rows.get(record.id) ?? null, entry))
    if (record.kind === "control" && record.fact.type === "admitted")
      for (const { epoch, taskId } of record.fact.admissions) {
        const row = rows.get(taskId)
        if (row !== undefined) put(taskId, foldAdmission(row, epoch, entry.seq))
      }
    this.log.push(entry)
    this.rows.push(rows)
  }
}

const played = (history: readonly Step[]): World => {
  const world = new World()
  for (const step of history) world.play(step)
  return world
}

const admissionsOf = (record: LogEntry["record"]): readonly Admission[] =>
  record.kind === "control" && (record as ControlRecord).fact.type === "admitted"
    ? ((record as ControlRecord).fact as { admissions: readonly Admission[] }).admissions
    : []

const fromRows = (
  fold: LeaderFold,
  rows: ReadonlyMap<string, TaskRow> | undefined,
  status: string,
): readonly string[] => {
  const wanted = [...(rows?.values() ?? [])].filter(({ state }) => state.status === status)
  for (const row of wanted) fold.applyRow(row)
  return wanted.map(({ state }) => state.id)
}

function expectTask(fold: LeaderFold, id: string, row: TaskRow | undefined): void {
  const holds = row !== undefined && holdsSlot(row)
  expect(fold.slots.get(id) !== null, `${id} holds`).toBe(holds)
  expect(fold.waiting.has(id), `${id} waits`).toBe(row !== undefined && isAdmissible(row.state) && !holds)
}

function expectAgreement(fold: LeaderFold, rows: ReadonlyMap<string, TaskRow>): void {
  const all = [...rows.values()]
  const holds = all.filter(holdsSlot)
  expect([...fold.slots.all()].map(({ taskId }) => taskId).toSorted()).toEqual(
    holds.map(({ state }) => state.id).toSorted(),
  )
  for (const { state } of holds)
    expect(fold.slots.get(state.id)?.epoch).toBe(state.status === "running" ? state.epoch : nextEpoch(state))
  for (const owner of OWNERS)
    expect(fold.slots.ofOwner(owner)).toBe(holds.filter(({ state }) => state.owner === owner).length)
  expect(fold.slots.ofPool("default")).toBe(holds.length)
  for (let n = 0; n < TASKS; n += 1) expectTask(fold, idOf(n), rows.get(idOf(n)))
}

describe("do slots of the fold equal slots of the rows (I6)?", () => {
  it("after every entry of a history read from the beginning", () => {
    fc.assert(
      fc.property(steps, (history) => {
        const { log, rows } = played(history)
        const fold = new LeaderFold(64)
        log.forEach((entry, index) => {
          fold.applyEntry(entry)
          expectAgreement(fold, rows[index + 1] ?? new Map())
        })
      }),
      { numRuns: 400 },
    )
  })

  it("for a leader that begins anywhere, with rows that are newer than its checkpoint and than one another", () => {
    fc.assert(
      fc.property(steps, fc.nat(), fc.nat(), fc.nat(), (history, one, two, three) => {
        const { log, now, rows } = played(history)
        const [checkpoint, pendingAt, runningAt] = [one, two, three]
          .map((n) => n % (log.length + 1))
          .toSorted((a, b) => a - b) as [number, number, number]
        const fold = new LeaderFold(64)
        const readAt = new Map([
          ...fromRows(fold, rows[pendingAt], "pending").map((id) => [id, pendingAt] as const),
          ...fromRows(fold, rows[runningAt], "running").map((id) => [id, runningAt] as const),
        ])
        for (const entry of log.slice(checkpoint)) {
          fold.applyEntry(entry)
          // Nothing that was read is unread by an older entry.
          for (const [id, at] of readAt) expectTask(fold, id, rows[Math.max(at, entry.seq)]?.get(id))
        }
        expectAgreement(fold, now)
      }),
      { numRuns: 1_000 },
    )
  })

  it("for a leader that applies its own admissions before the feed brings them, and whose feed repeats itself", () => {
    fc.assert(
      fc.property(steps, fc.nat({ max: 5 }), fc.nat(), (history, ahead, back) => {
        const { log, now } = played(history)
        const fold = new LeaderFold(64)
        log.forEach((entry, index) => {
          const coming = log[index + ahead]
          if (coming !== undefined)
            for (const admission of admissionsOf(coming.record)) fold.applyAdmission(admission, coming.seq)
          fold.applyEntry(entry)
        })
        expectAgreement(fold, now)
        // A second feed from an earlier position ends where the first one did.
        const again = new LeaderFold(64)
        const from = log.length === 0 ? 0 : back % log.length
        for (const row of now.values()) again.applyRow(row)
        for (const entry of log.slice(from)) again.applyEntry(entry)
        expectAgreement(again, now)
      }),
      { numRuns: 1_000 },
    )
  })

  it("a repaired task stands where its row says, and a row that is out of date repairs nothing", () => {
    fc.assert(
      fc.property(steps, task, (history, which) => {
        const { log, now, rows } = played(history)
        const fold = new LeaderFold(64)
        for (const entry of log) fold.applyEntry(entry)
        const id = idOf(which)
        for (const old of rows) {
          const stale = old.get(id)
          if (stale !== undefined && stale.seq !== now.get(id)?.seq) expect(fold.repair(stale, stale.seq)).toBe(false)
        }
        const row = now.get(id)
        if (row === undefined || row.state.status !== "pending") return
        fold.waiting.remove(id)
        fold.slots.forget(id)
        expect(fold.repair(row, fold.headSeq)).toBe(true)
        expectAgreement(fold, now)
      }),
      { numRuns: 500 },
    )
  })
})
