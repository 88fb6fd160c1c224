/**
 * The database of the log and what the process knows of it: the writer's connection, hot tasks, the last control record
 * and the tail of the log. Only the writer's fiber changes it, one commit at a time.
 */
import { Effect } from "effect"
import { asBerthError, BerthError } from "../../core/errors.ts"
import type { TaskRow } from "../../core/readmodel/row.ts"
import { CONTROL_SUBJECT, type LogEntry, type Seq } from "../../core/record.ts"
import { touchedBy } from "../shared/fold.ts"
import { Tail } from "../shared/tail.ts"
import { attempt, removeRows, writeTombstones } from "./apply.ts"
import { prepareBatch, writeBatch } from "./batch.ts"
import { type Connection, openConnection, type Row, transaction } from "./connection.ts"
import { ENTRY, entryOf } from "./entries.ts"
import { Hot, type HotTask } from "./hot.ts"
import type { Committed, Plan, Work } from "./plan.ts"
import type { Reserve } from "./reserve.ts"
import { noteDamage } from "./damage.ts"
import { COLUMNS, rowOf } from "./rows.ts"
import { getMeta, setMeta, tune } from "./schema.ts"

export class Known {
  readonly tail: Tail
  control: LogEntry | null
  readonly #hot = new Hot()
  #connection: Connection
  readonly #reserve: Reserve
  #doubted = false
  /** Odd while a commit may be changing the disk; a read that began at the same even value may be kept. */
  #generation = 0

  constructor(connection: Connection, reserve: Reserve, head: Seq, control: LogEntry | null) {
    this.#connection = connection
    this.#reserve = reserve
    this.tail = new Tail(head)
    this.control = control
  }

  get connection(): Connection {
    return this.#connection
  }

  hot(taskId: string): HotTask | undefined {
    return this.#hot.get(taskId)
  }

  /** Reads a task through `read` and keeps it, unless a commit came in between. */
  remember(taskId: string, read: Effect.Effect<HotTask, BerthError>): Effect.Effect<HotTask, BerthError> {
    return Effect.suspend(() => {
      const generation = this.#generation
      return Effect.tap(read, (task) =>
        Effect.sync(() => {
          if (generation === this.#generation && generation % 2 === 0) this.#hot.set(taskId, task)
        }),
      )
    })
  }

  /** What the disk has of all tasks that these jobs are about: one read for those that are not hot. */
  load(works: readonly Work[]): Effect.Effect<Committed, BerthError> {
    const ids = new Set(works.flatMap(tasksOf))
    const tasks = new Map<string, HotTask | BerthError>()
    for (const id of ids) {
      const hot = this.#hot.get(id)
      if (hot !== undefined) tasks.set(id, hot)
    }
    const missing = [...ids].filter((id) => !tasks.has(id))
    const taskOf = (id: string): HotTask | BerthError => tasks.get(id) ?? NOTHING
    const committed: Committed = { head: this.tail.head, control: this.control, taskOf }
    if (missing.length === 0) return Effect.succeed(committed)
    return Effect.map(readTasks(this.#connection, missing), (found) => {
      for (const [id, task] of found) tasks.set(id, task)
      return committed
    })
  }

  /** Durable when it returns. */
  commit(plan: Plan): Effect.Effect<void, BerthError> {
    return Effect.suspend(() => {
      this.#generation += 1
      const write = writePlan(this.#connection, plan)
      if (plan.purges.length === 0) return write
      // Removing makes room, but writing that down needs some first.
      return Effect.catchIf(
        write,
        (error) => error.code === "STORAGE_FULL" && this.#reserve.release(),
        () => writePlan(this.#connection, plan),
      )
    })
  }

  /** Takes over what was committed. */
  absorb(plan: Plan): void {
    for (const [id, task] of plan.tasks()) this.#hot.set(id, task)
    this.control = plan.control
    if (plan.purges.length > 0) this.tail.forgetWindow(plan.head)
    else this.tail.push(plan.entries.map(({ entry, body }) => ({ entry, bytes: body.byteLength })))
    this.#generation += 1
    this.#reserve.refill()
  }

  /** After a commit that failed. A full disk wrote nothing; after anything else nobody knows (W3 of writer.ts). */
  doubt(error: BerthError): void {
    if (this.#generation % 2 === 1) this.#generation += 1
    if (error.code !== "STORAGE_FULL") this.#doubted = true
  }

  /** Before the next commit: where there is doubt, opens anew and reads again what is really there. */
  get repair(): Effect.Effect<void, BerthError> {
    return Effect.suspend(() => {
      if (!this.#doubted) return Effect.void
      return Effect.gen({ self: this }, function* () {
        const { path } = this.#connection
        yield* this.#connection.close
        this.#connection = yield* openLog(path)
        // Frames that a failed sync left in the page cache are written again and synced, or this fails.
        const [result] = yield* this.#connection.all("pragma wal_checkpoint(truncate)")
        if (result?.["busy"] !== 0) {
          return yield* Effect.fail(
            new BerthError({ code: "STORE_UNAVAILABLE", message: `${path} cannot be synced yet` }),
          )
        }
        const { head, control } = yield* readHead(this.#connection)
        this.#hot.clear()
        this.control = control
        this.tail.forgetWindow(head)
        this.#doubted = false
      })
    })
  }

  get close(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.tail.close()
      return this.#connection.close
    })
  }
}

const NOTHING: HotTask = { last: null, row: null, bytes: 0 }

/** The writer's connection to a log that exists. */
export const openLog = (path: string): Effect.Effect<Connection, BerthError> =>
  Effect.gen(function* () {
    const connection = yield* openConnection(path, "write")
    yield* Effect.onError(Effect.andThen(tune(connection), prepareBatch(connection, true)), () => connection.close)
    return connection
  })

/** The newest sequence that was ever used, and the last control record. */
export const readHead = (
  on: Connection,
): Effect.Effect<{ readonly head: Seq; readonly control: LogEntry | null }, BerthError> =>
  Effect.gen(function* () {
    const [newest] = yield* on.all("select max(seq) head from entries")
    const [control] = yield* on.all(
      `select ${ENTRY} from entries where subject = ? order by seq desc limit 1`,
      CONTROL_SUBJECT,
    )
    // Sequences of removed entries are never used again (EL3).
    const floor = Number(yield* getMeta(on, "head"))
    return {
      head: Math.max(Number(newest?.["head"] ?? 0), floor),
      control: control === undefined ? null : yield* attempt(() => entryOf(control)),
    }
  })

/** Last record and row of each task; an error for one that is damaged. */
export const readTasks = (
  on: Connection,
  ids: readonly string[],
): Effect.Effect<ReadonlyMap<string, HotTask | BerthError>, BerthError> =>
  Effect.map(
    on.all(
      `with wanted as materialized (select value task_id from json_each(?))
       select wanted.task_id, ${ENTRY.replace(/\w+/g, "e.$&")}, ${COLUMNS.replace(/\w+/g, "t.$& t_$&")}
       from wanted
       left join entries e on e.seq = (select max(seq) from entries where subject = 't.' || wanted.task_id || '.s')
       left join tasks t on t.id = wanted.task_id`,
      JSON.stringify(ids),
    ),
    (found) => new Map(found.map((stored) => [String(stored["task_id"]), taskOf(on, stored)])),
  )

/** Tasks looked at together; those that are open as the index `tasks_open` has them. */
const OPEN_PAGE = 500

/** True when a row or the last record of a task that is not at rest is damaged. A leader would act on them. */
export const hasDamagedOpenTask = (on: Connection): Effect.Effect<boolean, BerthError> =>
  Effect.gen(function* () {
    for (let afterId = ""; ; ) {
      const found = yield* on.all(
        "select id from tasks where status < 2 and id > ? order by id limit ?",
        afterId,
        OPEN_PAGE,
      )
      const ids = found.map((row) => String(row["id"]))
      for (const task of (yield* readTasks(on, ids)).values()) if (task instanceof BerthError) return true
      if (ids.length < OPEN_PAGE) return false
      afterId = ids.at(-1) ?? ""
    }
  })

function taskOf(on: Connection, stored: Row): HotTask | BerthError {
  try {
    const last = stored["seq"] === null ? null : entryOf(stored)
    const row = stored["t_id"] === null ? null : checkedRow(on, stored)
    return { last, row, bytes: (stored["body"] as Uint8Array | null)?.byteLength ?? 0 }
  } catch (error) {
    return asBerthError(error)
  }
}

/** The row's columns carry a prefix here. A damaged one is remembered, so that the next start folds the model anew. */
function checkedRow(on: Connection, stored: Row): TaskRow {
  const columns = Object.entries(stored).filter(([name]) => name.startsWith("t_"))
  try {
    return rowOf(Object.fromEntries(columns.map(([name, value]) => [name.slice(2), value])))
  } catch (error) {
    noteDamage(on.path)
    throw error
  }
}

function tasksOf(work: Work): readonly string[] {
  if (work.kind === "output" || work.kind === "trimControl") return []
  if (work.kind !== "append") return [work.taskId]
  return work.taskId === null ? touchedBy({ seq: 0, subject: CONTROL_SUBJECT, record: work.record }) : [work.taskId]
}

const writePlan = (on: Connection, plan: Plan): Effect.Effect<void, BerthError> => {
  const lines = Effect.suspend(() => writeBatch(on, plan.entries, plan.rows()))
  const removedRows = plan.removedRows()
  const tombstones = plan.tombstones()
  if (plan.purges.length === 0 && removedRows.length === 0 && tombstones.length === 0) return lines
  const purges = JSON.stringify(plan.purges.map(({ subject, upTo }) => [subject, upTo]))
  return transaction(
    on,
    Effect.gen(function* () {
      yield* lines
      yield* on.run(
        `delete from entries where seq in (
           select e.seq from json_each(?) p join entries e on e.subject = p.value->>0 and e.seq <= p.value->>1)`,
        purges,
      )
      yield* removeRows(on, removedRows)
      yield* writeTombstones(on, tombstones)
      yield* setMeta(on, "head", String(plan.head))
    }),
  )
}
