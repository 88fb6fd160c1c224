/**
 * One feed of the log per node, handed out by task: so a thousand watchers cost one reader.
 *
 *   H1. A subscription gets every entry of its task that the hub reads after `subscribe` returned, in order.
 *   H2. A subscriber that does not keep up is told so (`overflow`) and reads from the log itself; it delays nobody.
 *   H3. The log is followed from the first subscription on: a node that nobody watches reads nothing for it.
 *   H4. Of a task that began a moment ago a subscription has all entries so far, and what it is told follows on them.
 *   H5. Who follows is told at once, by a call; a listener that throws ends its own watch, and nobody else's.
 */
import { Effect, Latch, type Scope, Stream } from "effect"
import type { BerthError } from "../core/errors.ts"
import type { EventLog } from "../core/ports/eventLog.ts"
import type { LogEntry } from "../core/record.ts"
import { Backlogs } from "./backlogs.ts"

const BUFFER_ENTRIES_MAX = 256
/** So many calls of listeners before others on this process have their turn. */
const TOLD_AT_ONCE_MAX = 256
const OVERFLOWN = Effect.succeed({ overflow: true })
const ENOUGH = Effect.succeed({ overflow: false })

/** Is told of an entry. False: this one was the last for now, and what comes waits for the next `follow`. */
export type Listener = (entry: LogEntry) => boolean

export interface Subscription {
  /** H4. Null: what was before is in the log. */
  readonly backlog: readonly LogEntry[] | null
  /** Tells what came and what comes, until the listener has enough. `overflow`: entries were dropped here, read them from the log. */
  readonly follow: (listener: Listener) => Effect.Effect<{ readonly overflow: boolean }>
}

export interface Hub {
  readonly subscribe: (taskId: string) => Effect.Effect<Subscription, never, Scope.Scope>
  /** A task was submitted here: its first entry, before the feed brings it. */
  readonly began: (taskId: string, first: LogEntry) => void
  readonly run: Effect.Effect<never, BerthError>
}

/** What came while nobody listened, or who listens. */
class Buffer {
  #entries: LogEntry[] = []
  #overflow = false
  #listener: Listener | null = null
  #leave: (how: Effect.Effect<{ readonly overflow: boolean }>) => void = () => {}

  push(entry: LogEntry): void {
    if (this.#listener !== null) this.#tell(this.#listener, entry)
    else if (this.#entries.length < BUFFER_ENTRIES_MAX) this.#entries.push(entry)
    else this.#overflow = true
  }

  fail(): void {
    this.#overflow = true
    if (this.#listener !== null) this.#left(this.#taken())
  }

  follow(listener: Listener): Effect.Effect<{ readonly overflow: boolean }> {
    return Effect.callback((resume) => {
      this.#leave = resume
      this.#listener = listener
      if (this.#overflow) return this.#left(this.#taken())
      while (this.#listener !== null && this.#entries.length > 0)
        this.#tell(listener, this.#entries.shift() as LogEntry)
      return Effect.sync(() => {
        this.#listener = null
      })
    })
  }

  #tell(listener: Listener, entry: LogEntry): void {
    try {
      if (!listener(entry)) this.#left(ENOUGH)
    } catch (defect) {
      this.#left(Effect.die(defect))
    }
  }

  #taken(): Effect.Effect<{ readonly overflow: boolean }> {
    this.#entries = []
    this.#overflow = false
    return OVERFLOWN
  }

  #left(how: Effect.Effect<{ readonly overflow: boolean }>): void {
    this.#listener = null
    this.#leave(how)
  }
}

const taskOf = (subject: string): string | undefined => (subject.startsWith("t.") ? subject.split(".")[1] : undefined)

export const makeHub = (log: EventLog["Service"]): Hub => {
  const buffers = new Map<string, Set<Buffer>>()
  const backlogs = new Backlogs()
  const wanted = Latch.makeUnsafe(false)

  /** Answers how many were told. */
  const deliver = (entry: LogEntry): number => {
    const taskId = taskOf(entry.subject)
    if (taskId === undefined) return 0
    backlogs.add(taskId, entry)
    const interested = buffers.get(taskId)
    if (interested === undefined) return 0
    const { size } = interested
    for (const buffer of interested) buffer.push(entry)
    return size
  }
  const deliverAll = (entries: readonly LogEntry[], begin = 0): Effect.Effect<void> =>
    Effect.suspend(() => {
      let told = 0
      for (let at = begin; at < entries.length; at += 1) {
        told += deliver(entries[at] as LogEntry)
        if (told >= TOLD_AT_ONCE_MAX) return Effect.andThen(Effect.yieldNow, deliverAll(entries, at + 1))
      }
      return Effect.void
    })

  return {
    subscribe: (taskId) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          const buffer = new Buffer()
          const set = buffers.get(taskId) ?? new Set<Buffer>()
          buffers.set(taskId, set.add(buffer))
          wanted.openUnsafe()
          return { backlog: backlogs.of(taskId), buffer, follow: (listener) => buffer.follow(listener) }
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
        Stream.runForEach(log.feed(head), (entries) => deliverAll(entries)),
        Effect.never,
      )
    }).pipe(Effect.ensuring(Effect.sync(() => backlogs.end()))),
  }
}
