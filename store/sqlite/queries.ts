/** Questions across tasks, as SQL over the indexes of schema.ts. Every row that is returned was checked against its checksum. */
import { Effect } from "effect"
import type { BerthError } from "../../core/errors.ts"
import { LIMITS } from "../../core/limits.ts"
import type { ReadModel } from "../../core/ports/readModel.ts"
import type { Counts, ListPage, ListQuery, TaskRow } from "../../core/readmodel/row.ts"
import { LANES, type Lane, STATUSES, type Status } from "../../core/words.ts"
import { decodeCursor, encodeCursor, pageLength, pageRows } from "../shared/cursor.ts"
import { attempt } from "./apply.ts"
import type { Connection, Row, Value } from "./connection.ts"
import { COLUMNS, rowOf, sqlText } from "./rows.ts"

const ENDED_FROM = STATUSES.indexOf("completed")
const SELECT = `select ${COLUMNS} from tasks`
/** One index serves both questions: it is read twice, from its two beginnings. */
const ENDED_ALL = `
  where id in (
    select * from (select id from tasks where purged = 0 and ended_at < ?1 order by ended_at, id limit ?2)
    union all
    select * from (select id from tasks where purged = 1 and ended_at < ?1 order by ended_at, id limit ?2))
  order by ended_at, id limit ?2`

/** The rows of a page and the one after it. Sizes are summed up before any body is read: those of all rows may be huge. */
const pageSql = (where: string): string => `${SELECT}
  where id in (
    select id from (
      select id, row_number() over line as place, sum(bytes) over line - bytes as before from (
        select id, submitted_at, length(body) as bytes from tasks ${where} order by submitted_at desc, id desc limit ?)
      window line as (order by submitted_at desc, id desc rows unbounded preceding))
    where place <= 2 or before <= ?)
  order by submitted_at desc, id desc`

export type Queries = Omit<ReadModel["Service"], "apply" | "checkpoint">

/** What is done about a row that does not match its checksum. */
export interface Damage {
  readonly note: () => void
  /** The row as the log has it; null where only a new fold knows. */
  readonly fromLog: (stored: Row) => Effect.Effect<TaskRow | null, BerthError>
}

export function makeQueries(on: Connection, damage: Damage): Queries {
  const decodeOne = (stored: Row): Effect.Effect<TaskRow, BerthError> =>
    Effect.catch(
      attempt(() => rowOf(stored)),
      (error) => {
        damage.note()
        return Effect.flatMap(damage.fromLog(stored), (row) =>
          row === null ? Effect.fail(error) : Effect.succeed(row),
        )
      },
    )
  const decode = (rows: readonly Row[]): Effect.Effect<readonly TaskRow[], BerthError> =>
    Effect.catch(
      attempt(() => rows.map(rowOf)),
      () => Effect.forEach(rows, decodeOne),
    )
  const rows = (tail: string, ...values: readonly Value[]) =>
    Effect.flatMap(on.all(`${SELECT} ${tail}`, ...values), decode)
  const scan = (status: "pending" | "running" | "ended", afterId: string, rowsMax: number) =>
    status === "ended"
      ? rows(`where status >= ${ENDED_FROM} and id > ? order by id limit ?`, afterId, rowsMax)
      : rows(`where status = ${STATUSES.indexOf(status)} and id > ? order by id limit ?`, afterId, rowsMax)
  return {
    get: (taskId) => Effect.map(rows("where id = ?", taskId), (found) => found[0] ?? null),
    list: (query) =>
      Effect.flatMap(
        attempt(() => listSql(query)),
        ({ where, values, rowsMax }) =>
          Effect.flatMap(on.all(pageSql(where), ...values, rowsMax + 1, LIMITS.listPageBytesMax), (found) => {
            const bytes = found.map(({ body }) => (body as Uint8Array).byteLength)
            return Effect.map(decode(found.slice(0, pageLength(bytes, rowsMax))), (page): ListPage => {
              const last = page.at(-1)
              return { rows: page, nextCursor: found.length > page.length && last ? encodeCursor(last.state) : null }
            })
          }),
      ),
    due: (nowMs, rowsMax) => rows("where due_at <= ? order by due_at, id limit ?", nowMs, rowsMax),
    nextDueAtMs: Effect.map(
      on.all("select min(due_at) at from tasks where due_at is not null"),
      (found) => (found[0]?.["at"] as number | null | undefined) ?? null,
    ),
    scan,
    counts: (owner) =>
      Effect.map(
        owner === null
          ? on.all("select status, lane, count(*) tasks, sum(slot) slots from tasks group by status, lane")
          : on.all(
              "select status, lane, count(*) tasks, sum(slot) slots from tasks where owner = ? group by status, lane",
              sqlText(owner),
            ),
        countsOf,
      ),
    endedBefore: (beforeMs, rowsMax, which) =>
      which === "all"
        ? rows(ENDED_ALL, beforeMs, rowsMax)
        : rows("where purged = 0 and ended_at < ? order by ended_at, id limit ?", beforeMs, rowsMax),
    tombstonesBefore: (beforeMs, idsMax) =>
      Effect.map(on.all("select id from tombstones where at < ? order by at, id limit ?", beforeMs, idsMax), (found) =>
        found.map((row) => String(row["id"])),
      ),
  }
}

function listSql(query: ListQuery): {
  readonly where: string
  readonly values: readonly Value[]
  readonly rowsMax: number
} {
  const terms: string[] = []
  const values: Value[] = []
  const term = (sql: string, ...bound: readonly Value[]): void => {
    terms.push(sql)
    values.push(...bound)
  }
  const codes = (names: readonly string[], all: readonly string[]): string =>
    names.map((name) => all.indexOf(name)).join(", ")
  if (query.owner !== null) term("owner = ?", sqlText(query.owner))
  if (query.statuses !== undefined) term(`status in (${codes(query.statuses, STATUSES)})`)
  if (query.lanes !== undefined) term(`lane in (${codes(query.lanes, LANES)})`)
  if (query.dead === true) term("dead = 1")
  for (const [name, value] of Object.entries(query.labels ?? {})) {
    term("id in (select task_id from labels where name = ? and value = ?)", sqlText(name), sqlText(value))
  }
  if (query.submittedAfterMs !== undefined) term("submitted_at > ?", query.submittedAfterMs)
  if (query.submittedBeforeMs !== undefined) term("submitted_at < ?", query.submittedBeforeMs)
  if (query.cursor !== null) {
    const { submittedAtMs, id } = decodeCursor(query.cursor)
    term("(submitted_at, id) < (?, ?)", submittedAtMs, id)
  }
  const where = terms.length === 0 ? "" : `where ${terms.join(" and ")}`
  return { where, values, rowsMax: pageRows(query.rowsMax) }
}

function countsOf(found: readonly Row[]): Counts {
  const byStatus = Object.fromEntries(STATUSES.map((status) => [status, 0])) as Record<Status, number>
  const pendingByLane = Object.fromEntries(LANES.map((lane) => [lane, 0])) as Record<Lane, number>
  let slotsHeld = 0
  for (const row of found) {
    const status = STATUSES[Number(row["status"])] as Status
    byStatus[status] += Number(row["tasks"])
    if (status === "pending") pendingByLane[LANES[Number(row["lane"])] as Lane] += Number(row["tasks"])
    slotsHeld += Number(row["slots"])
  }
  return { byStatus, pendingByLane, slotsHeld }
}
