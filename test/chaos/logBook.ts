/**
 * What the broker's log has of every task, read in one go, by no gateway and no node. It is shown as a watch has to show it:
 * the SDK's cursor tells what an overtaken epoch printed, and what came twice.
 */
import { setTimeout } from "node:timers/promises"
import { DeliverPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { eventsOf } from "../../actors/watchEvents.ts"
import type { TaskEvent } from "../../gateway/client/index.ts"
import { WatchCursor } from "../../gateway/client/watchCursor.ts"
import { decodeRecord } from "../../store/shared/codec.ts"
import { type Sighting, sightingOf, type Story } from "./story.ts"

const STREAM = "BERTH_main_LOG"
const TASK_SUBJECT = /\.log\.(t\.([^.]+)\.[so])$/
const MESSAGES_AT_ONCE = 1_000
/** A question to a broker that is at its limit, or has just come up. */
const TRIES_MAX = 60
const AGAIN_MS = 1_000

/** Stories of all tasks of the cluster `main`, by id. Nobody may write to it any more. */
export async function readLog(urls: readonly string[]): Promise<ReadonlyMap<string, Story>> {
  const connection = await connect({ servers: [...urls] })
  try {
    const { streams } = await jetstreamManager(connection)
    const { messages, last_seq: lastSeq } = (await streams.info(STREAM)).state
    const book = new LogBook()
    if (messages === 0) return book.stories
    // An ordered consumer: it is made anew where a message did not arrive.
    const { consumers } = jetstream(connection)
    const consumer = await patiently(() => consumers.get(STREAM, { deliver_policy: DeliverPolicy.All }))
    for await (const { data, info, seq, subject } of await consumer.consume({ max_messages: MESSAGES_AT_ONCE })) {
      book.add(seq, subject, data)
      if (seq >= lastSeq || info.pending === 0) break
    }
    return book.stories
  } finally {
    await connection.close()
  }
}

/** Those of killed nodes still take room at the broker for a while, and one that has just come back finds its feet. */
async function patiently<A>(ask: () => Promise<A>, triesMax = TRIES_MAX): Promise<A> {
  try {
    return await ask()
  } catch (cause) {
    if (triesMax <= 1) throw cause
    await setTimeout(AGAIN_MS)
    return patiently(ask, triesMax - 1)
  }
}

class LogBook {
  readonly stories = new Map<string, Sighting[]>()
  readonly #cursors = new Map<string, WatchCursor>()

  add(seq: number, full: string, data: Uint8Array): void {
    const [, subject, taskId] = TASK_SUBJECT.exec(full) ?? []
    if (subject === undefined || taskId === undefined) return
    const cursor = this.#cursors.get(taskId) ?? new WatchCursor(0)
    const story = this.stories.get(taskId) ?? []
    this.#cursors.set(taskId, cursor)
    this.stories.set(taskId, story)
    for (const event of eventsOf({ seq, subject, record: decodeRecord(data, `record ${seq} of ${subject}`) }))
      for (const fresh of cursor.accept(event as TaskEvent)) {
        const sighting = sightingOf(fresh)
        if (sighting !== null) story.push(sighting)
      }
  }
}
