/** The read model in memory: rows go through the codec; queries are filters over all of them. The reference for answers (RM2). */
import { berthError } from "../../core/errors.ts"
import type { ReadModel } from "../../core/ports/readModel.ts"
import { type Counts, dueAtMs, holdsSlot, isDead, type ListQuery, type TaskRow } from "../../core/readmodel/row.ts"
import type { LogEntry, Seq } from "../../core/record.ts"
import { isAtRest, LANES, type Lane, STATUSES, type Status } from "../../core/words.ts"
import { decodeCursor, encodeCursor, pageLength, pageRows, type Position } from "../shared/cursor.ts"
import { type Changes, foldInto, noChanges } from "../shared/fold.ts"
import { decodeRow, encodeRow } from "../shared/rowCodec.ts"
import { Effect } from "effect"
import { type Follower, step } from "./log.ts"

interface StoredRow {
  /** For choosing rows, as an index would. */
  readonly key: TaskRow
  bytes: Uint8Array
}

export interface MemoryReadModel {
  readonly readModel: ReadModel["Service"]
  /** Takes part in the log's own changes, so that an append is visible here when it returns. */
  readonly follower: Follower
  /** Flips a byte of a stored row. */
  readonly damage: (taskId: string) => void
}

export function makeMemoryReadModel(): MemoryReadModel {
  const rows = new Map<string, StoredRow>()
  const tombstones = new Map<string, number>()
  let checkpoint: Seq = 0

  const store = (id: string, row: TaskRow): void => {
    const bytes = encodeRow(row)
    rows.set(id, { key: decodeRow(bytes, id), bytes })
  }
  const commit = (changes: Changes, seq: Seq): void => {
    for (const [id, row] of changes.rows) {
      if (row === null) rows.delete(id)
      else store(id, row)
    }
    for (const [id, atMs] of changes.tombstones) {
      if (atMs === null) tombstones.delete(id)
      else tombstones.set(id, atMs)
    }
    checkpoint = seq
  }
  const apply = (entries: readonly LogEntry[]): void => {
    const fresh = entries.filter((entry) => entry.seq > checkpoint)
    const changes = noChanges()
    for (const entry of fresh) foldInto(changes, entry, (id) => rows.get(id)?.key ?? null)
    commit(changes, fresh.at(-1)?.seq ?? checkpoint)
  }
  const decode = (id: string): TaskRow => decodeRow((rows.get(id) as StoredRow).bytes, id)
  const select = (wanted: (row: TaskRow) => boolean, order: (a: TaskRow, b: TaskRow) => number, rowsMax: number) =>
    [...rows.values()]
      .map((stored) => stored.key)
      .filter(wanted)
      .sort(order)
      .slice(0, rowsMax)
      .map((row) => decode(row.state.id))
  const list = (query: ListQuery) => {
    const after = query.cursor === null ? null : decodeCursor(query.cursor)
    const rowsMax = pageRows(query.rowsMax)
    const wanted = (row: TaskRow): boolean =>
      matches(query, row) && (after === null || newestFirst(after, row.state) < 0)
    const found = select(wanted, (a, b) => newestFirst(a.state, b.state), rowsMax + 1)
    const bytes = found.map(({ state }) => (rows.get(state.id) as StoredRow).bytes.byteLength)
    const page = found.slice(0, pageLength(bytes, rowsMax))
    const isCut = found.length > page.length
    return { rows: page, nextCursor: isCut ? encodeCursor((page.at(-1) as TaskRow).state) : null }
  }

  const readModel: ReadModel["Service"] = {
    apply: (entries) => step(() => apply(entries)),
    checkpoint: Effect.sync(() => checkpoint),
    get: (taskId) => step(() => (rows.has(taskId) ? decode(taskId) : null)),
    list: (query) => step(() => list(query)),
    due: (nowMs, rowsMax) =>
      step(() => select((row) => (dueAtMs(row.state) ?? Number.POSITIVE_INFINITY) <= nowMs, byDue, rowsMax)),
    nextDueAtMs: step(() => [...rows.values()].map((stored) => dueAtMs(stored.key.state)).reduce(earlier, null)),
    scan: (status, afterId, rowsMax) =>
      step(() => select((row) => group(row.state.status) === status && row.state.id > afterId, byId, rowsMax)),
    counts: (owner) =>
      step(() =>
        count(
          [...rows.values()].map((stored) => stored.key),
          owner,
        ),
      ),
    endedBefore: (beforeMs, rowsMax, which) => {
      const wanted = (row: TaskRow): boolean =>
        isAtRest(row.state.status) && endedAtMs(row) < beforeMs && (which === "all" || !row.outputPurged)
      return step(() => select(wanted, byEnd, rowsMax))
    },
    tombstonesBefore: (beforeMs, idsMax) =>
      step(() =>
        [...tombstones]
          .filter(([, atMs]) => atMs < beforeMs)
          .sort(([idA, a], [idB, b]) => a - b || compare(idA, idB))
          .slice(0, idsMax)
          .map(([id]) => id),
      ),
  }
  const follower: Follower = {
    appended: apply,
    outputPurged: (id) => {
      const row = rows.get(id)
      if (row !== undefined) store(id, { ...row.key, outputPurged: true })
    },
    forgotten: (id) => {
      rows.delete(id)
      tombstones.delete(id)
    },
  }
  return { readModel, follower, damage: (id) => damageRow(rows.get(id)) }
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
const endedAtMs = (row: TaskRow): number => row.state.endedAtMs ?? row.state.updatedAtMs
const group = (status: Status): "pending" | "running" | "ended" =>
  status === "pending" || status === "running" ? status : "ended"
const newestFirst = (a: Position, b: Position): number => b.submittedAtMs - a.submittedAtMs || compare(b.id, a.id)
const byId = (a: TaskRow, b: TaskRow): number => compare(a.state.id, b.state.id)
const byDue = (a: TaskRow, b: TaskRow): number => (dueAtMs(a.state) ?? 0) - (dueAtMs(b.state) ?? 0) || byId(a, b)
const byEnd = (a: TaskRow, b: TaskRow): number => endedAtMs(a) - endedAtMs(b) || byId(a, b)
const earlier = (a: number | null, b: number | null): number | null =>
  a === null ? b : b === null ? a : Math.min(a, b)

function matches(query: ListQuery, { state }: TaskRow): boolean {
  const { owner, statuses, lanes, dead, labels, submittedAfterMs, submittedBeforeMs } = query
  return (
    (owner === null || state.owner === owner) &&
    (statuses === undefined || statuses.includes(state.status)) &&
    (lanes === undefined || lanes.includes(state.spec.lane)) &&
    (dead !== true || isDead(state)) &&
    Object.entries(labels ?? {}).every(
      ([name, value]) => Object.hasOwn(state.spec.labels, name) && state.spec.labels[name] === value,
    ) &&
    (submittedAfterMs === undefined || state.submittedAtMs > submittedAfterMs) &&
    (submittedBeforeMs === undefined || state.submittedAtMs < submittedBeforeMs)
  )
}

function count(all: readonly TaskRow[], owner: string | null): Counts {
  const rows = all.filter((row) => owner === null || row.state.owner === owner)
  const of = (wanted: (row: TaskRow) => boolean): number => rows.filter(wanted).length
  const byStatus = Object.fromEntries(STATUSES.map((status) => [status, of((row) => row.state.status === status)]))
  const byLane = LANES.map((lane) => [
    lane,
    of((row) => row.state.status === "pending" && row.state.spec.lane === lane),
  ])
  return {
    byStatus: byStatus as Record<Status, number>,
    pendingByLane: Object.fromEntries(byLane) as Record<Lane, number>,
    slotsHeld: of(holdsSlot),
  }
}

function damageRow(stored: StoredRow | undefined): void {
  if (stored === undefined) throw berthError("NOT_FOUND", "there is no such row")
  stored.bytes = Uint8Array.from(stored.bytes)
  const at = stored.bytes.byteLength >> 1
  stored.bytes[at] = (stored.bytes[at] as number) ^ 1
}
