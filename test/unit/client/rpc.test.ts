import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { berthError, type BerthError } from "../../../core/errors.ts"
import { Connection } from "../../../gateway/client/connection.ts"
import { Pace } from "../../../gateway/client/pace.ts"
import { type Call, Rpc } from "../../../gateway/client/rpc.ts"
import { manualClock, settle } from "../../support/clock.ts"
import { fakeTransport } from "../../support/fakeTransport.ts"

interface Options {
  readonly inFlightMax?: number
  readonly waitingMax?: number
  readonly frameBytesMax?: number
  readonly pace?: { readonly perSecond: number; readonly burst: number }
}

async function open(options: Options = {}) {
  const clock = manualClock()
  const timing = { ...clock, random01: () => 0.5 }
  const network = fakeTransport()
  const notified: unknown[] = []
  const connection: Connection = new Connection(
    {
      urls: ["ws://a/v1"],
      token: "t",
      transport: network.transport,
      timing,
      connectMsMax: 1_000,
      firstMsMax: 0,
      outageMsMax: 1e9,
      delayMsInitial: 100,
      delayMsMax: 1_000,
      idleMs: 1e9,
    },
    {
      up: () => rpc.up(),
      frame: (text) => rpc.frame(text),
      down: (error) => rpc.down(error),
      ended: (error) => rpc.end(error),
      probe: () => {},
    },
  )
  const pace = options.pace === undefined ? null : new Pace(timing, options.pace.perSecond, options.pace.burst)
  const rpc = new Rpc(
    connection,
    timing,
    { inFlightMax: 4, waitingMax: 100, frameBytesMax: 1_000, ...options, pace },
    (method, params) => notified.push([method, params]),
  )
  connection.start()
  await settle()
  const call = (method: string, more: Partial<Call> = {}) =>
    rpc.call({ method, params: {}, repeatable: true, deadlineMs: 30_000, ...more }).then(
      (result) => result,
      (cause: BerthError) => cause.code ?? cause,
    )
  const reconnect = async () => {
    const before = network.sockets.length
    network.last().end()
    while (network.sockets.length === before) await clock.advance(50)
    network.last().accept()
  }
  return { clock, network, connection, rpc, call, reconnect, notified }
}

describe("does every call settle once?", () => {
  it("R1: waits for the connection, then for its own reply", async () => {
    const { network, call } = await open()
    const [first, second] = [call("a"), call("b")]
    network.last().accept()
    const [a, b] = network.last().sent
    expect([a?.method, b?.method]).toEqual(["a", "b"])
    network.last().reply(b as never, { n: 2 })
    network.last().reply(a as never, { n: 1 })
    network.last().reply(a as never, { n: 99 })
    expect([await first, await second]).toEqual([{ n: 1 }, { n: 2 }])
  })

  it("R1: with its deadline, also while there is no connection, and a late reply is dropped", async () => {
    const { clock, network, call } = await open()
    const waiting = call("a", { deadlineMs: 500 })
    await clock.advance(500)
    expect(await waiting).toBe("DEADLINE_EXCEEDED")
    network.last().accept()
    const sent = call("b", { deadlineMs: 500 })
    const frame = network.last().sent.at(-1)
    await clock.advance(500)
    expect(await sent).toBe("DEADLINE_EXCEEDED")
    network.last().reply(frame as never, {})
    expect(network.last().sent.map((each) => each.method)).toEqual(["b"])
  })

  it("R1: with the reason of its signal, before and while it waits", async () => {
    const { network, call } = await open()
    network.last().accept()
    const stop = new AbortController()
    const begun = call("a", { signal: stop.signal })
    stop.abort("enough")
    expect([await begun, await call("b", { signal: stop.signal })]).toEqual(["enough", "enough"])
    expect(network.last().sent.map((each) => each.method)).toEqual(["a"])
  })

  it("R1: with the end of the client, now and later", async () => {
    const { network, call, connection } = await open()
    network.last().accept()
    const begun = call("a")
    connection.close()
    expect([await begun, await call("b")]).toEqual(["SHUTTING_DOWN", "SHUTTING_DOWN"])
  })
})

describe("what happens to a call when the connection is lost?", () => {
  it("R2: a repeatable one is sent again, before those that waited behind it", async () => {
    const { network, call, reconnect } = await open({ inFlightMax: 2 })
    network.last().accept()
    const calls = ["a", "b", "c"].map((method) => call(method))
    expect(network.last().sent.map((each) => each.method)).toEqual(["a", "b"])
    await reconnect()
    expect(network.last().sent.map((each) => each.method)).toEqual(["a", "b"])
    for (const frame of network.last().sent.slice()) network.last().reply(frame, frame.method)
    network.last().reply(network.last().sent[2] as never, "c")
    expect(await Promise.all(calls)).toEqual(["a", "b", "c"])
  })

  it("R2: any other fails at once when it was sent, and waits when it was not", async () => {
    const { network, call, reconnect } = await open({ inFlightMax: 1 })
    network.last().accept()
    const sent = call("retry", { repeatable: false })
    const waiting = call("retry", { repeatable: false })
    await reconnect()
    expect(await sent).toBe("CONNECTION_LOST")
    network.last().reply(network.last().sent[0] as never, "done")
    expect(await waiting).toBe("done")
  })

  it("R2: one that is there at every loss is given up", async () => {
    const { network, call, reconnect } = await open()
    network.last().accept()
    const poison = call("poison", { deadlineMs: null })
    for (let round = 0; round < 10; round++) await reconnect()
    expect(await poison).toBe("CONNECTION_LOST")
    expect(network.sockets.map((socket) => socket.sent.length)).toEqual([...Array(10).fill(1), 0])
  })
})

describe("is it polite?", () => {
  it("R3: never more on the wire than the server takes, and never more waiting than there is room for", async () => {
    const { network, call } = await open({ inFlightMax: 3, waitingMax: 5 })
    network.last().accept()
    const calls = Array.from({ length: 9 }, (_, at) => call(`m${at}`))
    expect(network.last().sent.length).toBe(3)
    expect(await calls[8]).toBe("TOO_MANY")
    for (let at = 0; at < 8; at++) network.last().reply(network.last().sent[at] as never, at)
    expect(await Promise.all(calls.slice(0, 8))).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  })

  it("R3: no faster than its pace, in order", async () => {
    const { clock, network, call } = await open({ inFlightMax: 100, pace: { perSecond: 10, burst: 5 } })
    network.last().accept()
    const calls = Array.from({ length: 20 }, (_, at) => call(`m${at}`))
    expect(network.last().sent.length).toBe(5)
    await clock.advance(1_000)
    expect(network.last().sent.length).toBe(15)
    await clock.advance(500)
    expect(network.last().sent.map((each) => each.method)).toEqual(Array.from({ length: 20 }, (_, at) => `m${at}`))
    for (const frame of network.last().sent.slice()) network.last().reply(frame, 0)
    await Promise.all(calls)
  })

  it("refuses a request that no server takes, without sending it", async () => {
    const { network, call } = await open({ frameBytesMax: 1_000 })
    network.last().accept()
    expect(await call("big", { params: { text: "é".repeat(480) } })).toBe("TOO_LARGE")
    expect(network.last().sent).toEqual([])
    void call("fits", { params: { text: "x".repeat(900) } })
    expect(network.last().sent.length).toBe(1)
  })

  it("R4: tries again what was refused at the door, and then says that it was refused", async () => {
    const { clock, network, call } = await open()
    network.last().accept()
    const lucky = call("lucky")
    network.last().refuse(network.last().sent[0] as never, "RATE_LIMITED")
    expect(network.last().sent.length).toBe(1)
    await clock.advance(200)
    network.last().reply(network.last().sent[1] as never, "at last")
    expect(await lucky).toBe("at last")
    const unlucky = call("unlucky", { deadlineMs: 2_000 })
    for (let round = 0; round < 40; round++) {
      const frame = network.last().sent.at(-1)
      if (frame?.method === "unlucky") network.last().refuse(frame, "NOT_READY")
      await clock.advance(100)
    }
    expect(await unlucky).toBe("NOT_READY")
  })

  it("hands any other error over as it is, and a refusal too where that was asked for", async () => {
    const { network, call } = await open()
    network.last().accept()
    const [wrong, full, unknown] = [call("a"), call("b", { refusalIsFinal: true }), call("c")]
    network.last().refuse(network.last().sent[0] as never, "WRONG_STATE")
    network.last().refuse(network.last().sent[1] as never, "TOO_MANY")
    network.last().refuse(network.last().sent[2] as never, "FROM_THE_FUTURE")
    expect([await wrong, await full, await unknown]).toEqual(["WRONG_STATE", "TOO_MANY", "INTERNAL"])
  })
})

describe("what comes in", () => {
  it("R5: notifications are handed over, and nonsense is ignored", async () => {
    const { network, notified, call } = await open()
    network.last().accept()
    for (const nonsense of [null, 7, "x", [], {}, { id: "a" }, { id: 99, result: 1 }, { method: 5 }])
      network.last().push(nonsense)
    network.last().notify("task.event", { n: 1 })
    const answered = call("a")
    network.last().push({ id: network.last().sent[0]?.id, error: "not an object" })
    expect(notified).toEqual([["task.event", { n: 1 }]])
    expect(await answered).toBe("INTERNAL")
  })
})

describe("under any history", () => {
  it("R1, R2: every call settles exactly once, and none that must not be is sent twice", async () => {
    const step = fc.oneof(
      fc.constantFrom("cut", "reply", "refuse", "wait" as const),
      fc.record({ repeatable: fc.boolean(), deadlineMs: fc.constantFrom(null, 150, 5_000) }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { clock, network, rpc, connection, reconnect } = await open({ inFlightMax: 3 })
        network.last().accept()
        const settled: number[] = []
        const fixed: string[] = []
        for (const [at, taken] of steps.entries()) {
          settled[at] = typeof taken === "object" ? 0 : 1
          if (typeof taken === "object") {
            if (!taken.repeatable) fixed.push(`m${at}`)
            const count = () => void (settled[at] = (settled[at] ?? 0) + 1)
            rpc.begin({ method: `m${at}`, params: {}, ...taken, succeed: count, fail: count })
          } else if (taken === "cut") await reconnect()
          else if (taken === "wait") await clock.advance(100)
          else {
            const frame = network.last().sent[Math.floor(network.last().sent.length / 2)]
            if (frame !== undefined && taken === "reply") network.last().reply(frame, {})
            // A refusal means that it was not begun: that one may be sent again.
            if (frame !== undefined && taken === "refuse" && !fixed.includes(frame.method))
              network.last().refuse(frame, "TOO_MANY")
          }
        }
        connection.close(berthError("SHUTTING_DOWN", "over"))
        await clock.advance(10_000)
        expect(settled).toEqual(steps.map(() => 1))
        const sent = network.sockets.flatMap((socket) => socket.sent.map((frame) => frame.method))
        for (const method of fixed) expect(sent.filter((each) => each === method).length).toBeLessThanOrEqual(1)
        expect(clock.armed()).toBe(0)
      }),
      { numRuns: 100 },
    )
  })
})
