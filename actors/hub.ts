/**
 * One feed of the log per node, handed out by task: so a thousand watchers cost one reader.
 *
 *   H1. A subscription gets every entry of its task that the hub reads after `subscribe` returned, in order.
 *   H2. A subscriber that does not keep up is told so (`overflow`) and reads from the log itself; it delays nobody.
 *   H3. The log is followed from the first subscription on: a node that nobody watches reads nothing for it.
 *   H4. Of a task that began a moment ago a subscription has all entries so far, and what it takes follows on them.
 */
import { Effect, Latch, type Scope, Stream } from "effect"
import type { BerthError } from "../core/errors.ts"
import type { EventLog } from "../core/ports/eventLog.ts"
import type { LogEntry } from "../core/record.ts"
import { Backlogs } from "./backlogs.ts"

const BUFFER_ENTRIES_MAX = 256

export interface Subscription {
  /** H4. Null: what was before is in the log. */
  readonly backlog: readonly LogEntry[] | null
  /** Waits for news. `overflow`: entries were dropped here, read them from the log. */
  readonly take: Effect.Effect<{ readonly entries: readonly LogEntry[]; readonly overflow: boolean }>
}

export interface Hub {
  readonly subscribe: (taskId: string) => Effect.Effect<Subscription, never, Scope.Scope>
  /** A task was submitted here: its first entry, before the feed brings it. */
  readonly began: (taskId: string, first: LogEntry) => void
  readonly run: Effect.Effect<never, BerthError>
}

class Buffer {
  private entries: LogEntry[] = []
  private overflow = false
  private readonly news = Latch.makeUnsafe(false)

  push(entry: LogEntry): void {
    if (this.entries.length < BUFFER_ENTRIES_MAX) this.entries.push(entry)
    else this.overflow = true
    this.news.openUnsafe()
  }

  fail(): void {
    this.overflow = true
    this.news.openUnsafe()
  }

  readonly take = Effect.andThen(
    Effect.suspend(() => this.news.await),
    Effect.sync(() => {
      const taken = { entries: this.entries, overflow: this.overflow }
      this.entries = []
      this.overflow = false
      this.news.closeUnsafe()
      return taken
    }),
  )
}

const taskOf = (subject: string): string | undefined => (subject.startsWith("t.") ? subject.split(".")[1] : undefined)

export const makeHub = (log: EventLog["Service"]): Hub => {
  const buffers = new Map<string, Set<Buffer>>()
  const backlogs = new Backlogs()
  const wanted = Latch.makeUnsafe(false)

  const deliver = (entry: LogEntry): void => {
    const taskId = taskOf(entry.subject)
    if (taskId === undefined) return
    backlogs.add(taskId, entry)
    const interested = buffers.get(taskId)
    if (interested !== undefined) for (const buffer of interested) buffer.push(entry)
  }

  return {
    subscribe: (taskId) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          const buffer = new Buffer()
          const set = buffers.get(taskId) ?? new Set<Buffer>()
          buffers.set(taskId, set.add(buffer))
          wanted.openUnsafe()
          return { backlog: backlogs.of(taskId), buffer, take: buffer.take }
        }),
        ({ buffer }) =>
          Effect.sync(() => {
            const set = buffers.get(taskId)
            set?.delete(buffer)
            if (set?.size === 0) buffers.delete(taskId)
          }),
      ),
    began: (taskId, first) => backlogs.began(taskId, first),
    run: Effect.gen(function* () {
      yield* wanted.await
      // What was written while no feed ran is found in the log by whoever waits.
      for (const set of buffers.values()) for (const buffer of set) buffer.fail()
      const head = yield* log.head
      for (const set of buffers.values()) for (const buffer of set) buffer.fail()
      backlogs.begin(head)
      return yield* Effect.andThen(
        Stream.runForEach(log.feed(head), (entries) => Effect.sync(() => entries.forEach(deliver))),
        Effect.never,
      )
    }).pipe(Effect.ensuring(Effect.sync(() => backlogs.end()))),
  }
}
