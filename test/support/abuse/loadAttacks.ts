/** Too much of what is allowed once: floods, subscriptions, connections, and readers that do not read. */
import { setTimeout as sleep } from "node:timers/promises"
import { LIMITS } from "../../../core/limits.ts"
import { DOOR } from "../../../gateway/protocol/limits.ts"
import { connectRaw, type Message, type RawClient } from "../door.ts"
import { askUnread } from "./rawHttp.ts"
import { type Attack, bearer, knock, type Target, told } from "./attack.ts"

const MESSAGES = 20_000
const SUBSCRIPTIONS = 100_000
const LARGE_MESSAGES = 1_000
const DOWNLOADS = 100
/** What one of them prints: as much of a stream as is kept, so that every watch of it is served from the log. */
const PRINTED_BYTES = 1024 * 1024

/** Well after the door gave up, well before it cuts the line. */
const READS_AFTER_MS = 5_000

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Whoever pours may be too slow to hear the door's last word before the line is cut: that is 1006, and as good. */
const FLOODED = "closed 4429, or cut off"

/** Sends until the other side closes, and says what it closed with. */
async function pour(client: RawClient, count: number, text: (at: number) => string): Promise<string> {
  let isOpen = true
  void client.closed.then(() => (isOpen = false))
  for (let at = 0; at < count && isOpen; at++) {
    client.sendText(text(at))
    if (at % 100 === 99) await turn()
    // No more than a few messages ahead, else our own backlog would stand before our answer to the close.
    while (isOpen && client.socket.bufferedAmount > 4 * DOOR.frameBytesMax) await sleep(1)
  }
  const { code } = await client.closed
  return code === 4429 || code === 1006 ? FLOODED : `closed ${code}`
}

const submitted = async (client: RawClient, code: string, more: object = {}): Promise<string> =>
  (await client.call("task.submit", { runtime: "bash", code, ...more })).result.task.id as string

async function untilEnded(client: RawClient, id: string): Promise<void> {
  await client.call("task.watch", { id })
  for (let event: Message = null; event?.type !== "end"; ) event = (await client.next()).params?.event
}

/** What costs the most to look at, and is refused only at its very end. */
const WIDE = `"handler":"h","input":{"rows":[${"[1,2,3,4],".repeat(19_000)}0]},"x":"${"y".repeat(250_000)}"`
const large = (at: number): string => {
  const text = `{"jsonrpc":"2.0","id":"l${at}","method":"task.submit","params":{${WIDE}}}`
  return text.padEnd(DOOR.frameBytesMax)
}

/** Asks for a large file again and again and reads nothing of it for a while; and then, what the door has answered. */
async function unreadDownloads(target: Target): Promise<string> {
  const token = await target.token("downloads")
  const client = await connectRaw(target, token)
  const code = `head -c ${LIMITS.artifactBytesMax} /dev/zero > out/big`
  const id = await submitted(client, code, { artifacts: true })
  await untilEnded(client, id)
  client.close()
  const socket = askUnread(target.port, token, `/v1/tasks/${id}/artifacts/big`, DOWNLOADS)
  await sleep(1_000)
  let answers = ""
  // The file is all zeros.
  socket.on("data", (data) => (answers += data.toString("latin1").replaceAll("\0", "")))
  await new Promise((resolve) => socket.once("close", resolve).resume())
  const given = answers.split("HTTP/1.1 200 ").length - 1
  const refused = answers.split('"code":"TOO_MANY"').length - 1
  return given + refused === DOWNLOADS ? `${given} given, the others 429 TOO_MANY` : `${given} and ${refused}`
}

/** Watches the same megabyte a hundred times and reads nothing of it, until the door has had enough. */
async function neverRead(target: Target): Promise<string> {
  const token = await target.token("never-reads")
  const writer = await connectRaw(target, token)
  const id = await submitted(writer, `head -c ${PRINTED_BYTES} /dev/zero | tr '\\0' a`)
  await untilEnded(writer, id)
  writer.close()
  const reader = await connectRaw(target, token)
  reader.socket.pause()
  for (let at = 0; at < DOOR.subscriptionsMax; at++)
    reader.sendText(`{"jsonrpc":"2.0","id":"n${at}","method":"task.watch","params":{"id":"${id}"}}`)
  // The door gives up after `unsentMsMax`, and leaves twice as long for its last word to be read.
  await sleep(DOOR.unsentMsMax + READS_AFTER_MS)
  reader.socket.resume()
  return `closed ${(await reader.closed).code}`
}

export const LOAD_ATTACKS: readonly Attack[] = [
  {
    name: `a flood of ${MESSAGES} submits`,
    expected: FLOODED,
    run: async (target) =>
      pour(
        await connectRaw(target, await target.token("flood")),
        MESSAGES,
        (at) =>
          `{"jsonrpc":"2.0","id":"f${at}","method":"task.submit","params":{"runtime":"bash","code":"true","delayMs":3600000}}`,
      ),
  },
  {
    name: `${LARGE_MESSAGES} messages of a mebibyte, each as wide as may be`,
    expected: FLOODED,
    run: async (target) => pour(await connectRaw(target, await target.token("large")), LARGE_MESSAGES, large),
  },
  {
    name: `${SUBSCRIPTIONS} subscriptions`,
    expected: FLOODED,
    run: async (target) => {
      const token = await target.token("subscriptions")
      const client = await connectRaw(target, token)
      const id = await submitted(client, "sleep 1")
      return pour(
        client,
        SUBSCRIPTIONS,
        (at) => `{"jsonrpc":"2.0","id":"w${at}","method":"task.watch","params":{"id":"${id}"}}`,
      )
    },
  },
  {
    name: `subscription ${DOOR.subscriptionsMax + 1} of a connection`,
    expected: "TOO_MANY",
    run: async (target) => {
      const client = await connectRaw(target, await target.token("one-more"))
      const answers: string[] = []
      for (let at = 0; at <= DOOR.subscriptionsMax; at++) answers.push(told(await client.call("events.watch", {})))
      client.close()
      return answers.lastIndexOf("ok") === DOOR.subscriptionsMax - 1 ? (answers.at(-1) ?? "") : answers.join()
    },
  },
  {
    name: `connection ${DOOR.connectionsPerOwnerMax + 1} of an owner`,
    expected: "429 TOO_MANY",
    run: async (target) => {
      const token = await target.token("many")
      const clients = await Promise.all(
        Array.from({ length: DOOR.connectionsPerOwnerMax }, () => connectRaw(target, token)),
      )
      const verdict = await knock(target, { headers: bearer(token) })
      for (const client of clients) client.close()
      return verdict
    },
  },
  {
    name: `${DOWNLOADS} downloads one behind the other, of which nothing is read`,
    expected: `${DOOR.downloadsPerOwnerMax} given, the others 429 TOO_MANY`,
    run: unreadDownloads,
  },
  {
    name: "a client that never reads",
    expected: "closed 1013",
    run: neverRead,
    isPatient: true,
  },
  {
    name: "a peer that fell silent after the handshake",
    expected: "closed 1006",
    run: async (target) => {
      const client = await connectRaw(target, await target.token("silent"), { autoPong: false })
      return `closed ${(await client.closed).code}`
    },
    isPatient: true,
  },
]
