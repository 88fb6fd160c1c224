import { afterEach, describe, expect, it } from "vitest"
import { Effect } from "effect"
import { DOOR } from "../../../gateway/protocol/limits.ts"
import { type ManualClock, manualClock } from "../../support/clock.ts"
import { connectRaw, type Door, type Message, openDoor, type RawClient } from "../../support/door.ts"

let door: Door
let clock: ManualClock

const open = async (limits: Parameters<typeof openDoor>[0] = {}): Promise<void> => {
  clock = manualClock(Date.now())
  door = await openDoor({ clock, ...limits })
}
afterEach(async () => {
  const closing = door.close()
  await clock.advance(60_000)
  await closing
})

/** Waits until a number has not changed for a while of turns: whatever can go on has gone on. */
const untilStill = async (read: () => number): Promise<number> => {
  let still = 0
  for (let last = read(); still < 50; still = read() === last ? still + 1 : 0, last = read()) {
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  return read()
}

describe("a client that does not read", () => {
  const KIBIBYTES_64 = new Uint8Array(64 * 1024).fill(97)
  const CHUNKS = 480

  it("is closed with 1013 after ten seconds at four mebibytes, and resumes without loss or repeat", async () => {
    await open()
    const task = door.tasks.add("ann")
    const token = await door.token("ann")
    const slow = await connectRaw(door, token)
    await slow.call("task.watch", { id: task.id })
    slow.socket.pause()
    for (let at = 0; at < CHUNKS; at++) {
      door.tasks.emit(task.id, {
        type: "output",
        attempt: 1,
        epoch: 1,
        stream: "stdout",
        offset: at * KIBIBYTES_64.length,
        bytes: KIBIBYTES_64,
      })
    }
    door.tasks.emit(task.id, { type: "end", status: "completed" })
    const pulled = await untilStill(() => door.tasks.handedOut())
    // What the kernel holds of it is not ours; well below the 30 MiB that wait in the log.
    expect(pulled).toBeLessThan(CHUNKS - 100)
    const other = await connectRaw(door, await door.token("bob"))
    expect((await other.call("system.info")).result.info.ready).toBe(true)

    await clock.advance(DOOR.unsentMsMax)
    slow.socket.resume()
    expect(await slow.closed).toMatchObject({ code: 1013 })
    const seen = eventsOf(slow)
    expect(seen.length).toBeGreaterThan(1)

    const back = await connectRaw(door, token)
    await back.call("task.watch", { id: task.id, fromSeq: seen.at(-1)?.seq ?? 0 })
    for (let event = (await back.next()).params.event; event !== undefined; event = (await back.next()).params.event) {
      seen.push(event)
      if (event.type === "end") break
    }
    const seqs = seen.map(({ seq }) => seq)
    expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b))
    expect(seen.filter(({ type }) => type === "output").map(({ offset }) => offset)).toEqual(
      Array.from({ length: CHUNKS }, (_, at) => at * KIBIBYTES_64.length),
    )
    back.close()
    other.close()
  })
})

const eventsOf = (client: RawClient): Message[] => client.pending.flatMap(({ params }) => params?.event ?? [])

describe("a peer of whom nothing is heard", () => {
  it("is cut off after thirty seconds; one that answers pings stays", async () => {
    await open()
    const token = await door.token("ann")
    const dead = await connectRaw(door, token, { autoPong: false })
    const alive = await connectRaw(door, token)
    const pinged = (client: RawClient) => new Promise<void>((resolve) => client.socket.once("ping", () => resolve()))
    for (let round = 0; round < 2; round++) {
      const both = [pinged(dead), pinged(alive)]
      await clock.advance(DOOR.pingEveryMs)
      if (round === 0) await Promise.all(both)
      else await both[1]
      // Sent after its pong, so the pong has been heard when this is answered.
      await alive.call("system.info")
    }
    expect(await dead.closed).toMatchObject({ code: 1006 })
    await clock.advance(DOOR.pingEveryMs)
    expect((await alive.call("system.info")).result).toBeDefined()
    await expect.poll(() => door.server.connections()).toBe(1)
    alive.close()
  })
})

describe("a token that ends", () => {
  it("closes its connection with 4401, unless it was refreshed", async () => {
    await open()
    const short = await connectRaw(door, await door.token("ann", {}, 60_000))
    const refreshed = await connectRaw(door, await door.token("ann", {}, 60_000))
    const { result } = await refreshed.call("auth.refresh", { token: await door.token("ann", {}, 3_600_000) })
    expect(result.expiresAtMs).toBeGreaterThan(clock.nowMs() + 3_500_000)
    expect((await refreshed.call("auth.refresh", { token: await door.token("bob") })).error.data.code).toBe("FORBIDDEN")
    expect((await refreshed.call("auth.refresh", { token: "garbage" })).error.data.code).toBe("UNAUTHORIZED")
    await clock.advance(60_000)
    expect(await short.closed).toMatchObject({ code: 4401, reason: expect.stringMatching(/^UNAUTHORIZED/) })
    expect((await refreshed.call("system.info")).result).toBeDefined()
    refreshed.close()
  })
})

describe("a flood", () => {
  it("of requests is refused, then closed with 4429; others are served, and no more than the burst was done", async () => {
    await open()
    const flood = await connectRaw(door, await door.token("ann"))
    const other = await connectRaw(door, await door.token("bob"))
    for (let at = 0; at < 20_000; at++)
      flood.sendText(`{"jsonrpc":"2.0","id":"f${at}","method":"task.submit","params":{"runtime":"python","code":"1"}}`)
    expect(await flood.closed).toMatchObject({ code: 4429 })
    expect(door.tasks.submitted.length).toBeLessThanOrEqual(DOOR.messagesBurst)
    expect(flood.pending.some(({ error }) => error?.data.code === "RATE_LIMITED" && error.data.retryable)).toBe(true)
    expect((await other.call("system.info")).result).toBeDefined()
    other.close()
  })

  it("of a hundred thousand subscriptions leaves no more than are allowed, and none when the connection is gone", async () => {
    await open()
    const task = door.tasks.add("ann")
    const client = await connectRaw(door, await door.token("ann"))
    let most = 0
    for (let at = 0; at < 100_000; at++) {
      client.sendText(`{"jsonrpc":"2.0","id":"w${at}","method":"task.watch","params":{"id":"${task.id}"}}`)
      if (at % 100 === 99) await new Promise((resolve) => setImmediate(resolve))
      most = Math.max(most, door.tasks.watching())
    }
    expect(await client.closed).toMatchObject({ code: 4429 })
    expect(most).toBeGreaterThan(0)
    expect(most).toBeLessThanOrEqual(DOOR.subscriptionsMax)
    await expect.poll(() => door.tasks.watching()).toBe(0)
  })

  it("of requests that are never answered holds as many as may be in flight", async () => {
    await open()
    door.tasks.hold = Effect.never
    const client = await connectRaw(door, await door.token("ann"))
    for (let at = 0; at < DOOR.inFlightMax + 10; at++)
      client.sendText(`{"jsonrpc":"2.0","id":"h${at}","method":"task.get","params":{"id":"a"}}`)
    for (let at = 0; at < 10; at++) expect((await client.next()).error.data.code).toBe("TOO_MANY")
    await clock.advance(DOOR.requestMsMax / 2)
    await clock.advance(DOOR.requestMsMax / 2)
    for (let at = 0; at < DOOR.inFlightMax; at++)
      expect((await client.next()).error.data.code).toBe("DEADLINE_EXCEEDED")
    client.close()
  })
})
