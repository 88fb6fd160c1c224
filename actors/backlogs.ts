/**
 * All that the log has of tasks that began a moment ago, for who begins to watch them now: most tasks are watched from their
 * submit on, and then nothing has to be read.
 *
 *   BK1. What is given is whole: every entry of the task from its first on that this node's feed has read. Where that is not
 *        so, nothing is given.
 *   BK2. It is bounded: tasks in number, each in entries and output; what goes beyond is read from the log, as ever.
 */
import { isFirst, type LogEntry, type Seq } from "../core/record.ts"

const TASKS_MAX = 500
const ENTRIES_MAX = 16
const OUTPUT_BYTES_MAX = 16 * 1024

interface Backlog {
  readonly entries: LogEntry[]
  outputBytes: number
}

const bytesOf = ({ record }: LogEntry): number =>
  record.kind !== "output"
    ? 0
    : record.items.reduce((sum, item) => sum + (item.type === "chunk" ? item.bytes.byteLength : 0), 0)

export class Backlogs {
  readonly #tasks = new Map<string, Backlog>()
  /** How far the feed has come; null: there is none. */
  #position: Seq | null = null

  /** A feed begins, after this sequence; what another gave has a hole behind it. */
  begin(since: Seq): void {
    this.#position = since
    this.#tasks.clear()
  }

  /** The feed is over. */
  end(): void {
    this.#position = null
    this.#tasks.clear()
  }

  /** What the feed brings. */
  add(taskId: string, entry: LogEntry): void {
    const known = this.#tasks.get(taskId)
    if (known === undefined) this.began(taskId, entry)
    else if (entry.seq > (known.entries.at(-1)?.seq ?? 0)) this.#append(taskId, known, entry)
    if (this.#position !== null) this.#position = Math.max(this.#position, entry.seq)
  }

  /** The first entry of a task, which the feed has not brought yet; any other is of no use. */
  began(taskId: string, entry: LogEntry): void {
    if (this.#position === null || entry.seq <= this.#position || !isFirst(entry)) return
    this.#tasks.set(taskId, { entries: [entry], outputBytes: 0 })
    const [oldest] = this.#tasks.keys()
    if (this.#tasks.size > TASKS_MAX && oldest !== undefined) this.#tasks.delete(oldest)
  }

  /** BK1. Null: read the log. */
  of(taskId: string): readonly LogEntry[] | null {
    const known = this.#tasks.get(taskId)
    return known === undefined ? null : [...known.entries]
  }

  #append(taskId: string, known: Backlog, entry: LogEntry): void {
    known.entries.push(entry)
    known.outputBytes += bytesOf(entry)
    const isTooMuch = known.entries.length > ENTRIES_MAX || known.outputBytes > OUTPUT_BYTES_MAX
    if (isTooMuch || entry.record.kind === "tombstone") this.#tasks.delete(taskId)
  }
}
