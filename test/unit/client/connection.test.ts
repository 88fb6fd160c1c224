import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Connection, type ConnectionOptions } from "../../../gateway/client/connection.ts"
import { manualClock, settle } from "../../support/clock.ts"
import { fakeTransport } from "../../support/fakeTransport.ts"

const URLS = ["ws://a/v1", "ws://b/v1"]

function open(more: Partial<ConnectionOptions> = {}) {
  const clock = manualClock()
  const network = fakeTransport()
  const log: string[] = []
  const connection = new Connection(
    {
      urls: URLS,
      token: "fixed",
      transport: network.transport,
      timing: { ...clock, random01: () => 0.999 },
      connectMsMax: 1_000,
      firstMsMax: 0,
      outageMsMax: 10_000,
      delayMsInitial: 100,
      delayMsMax: 1_000,
      idleMs: 5_000,
      ...more,
    },
    {
      up: () => log.push("up"),
      frame: (text) => log.push(`frame ${text}`),
      down: (error) => log.push(`down ${error.code}`),
      ended: (error) => log.push(`ended ${error.code}`),
      probe: () => log.push("probe"),
    },
  )
  return { clock, network, log, connection }
}

const start = async (more: Partial<ConnectionOptions> = {}) => {
  const opened = open(more)
  opened.connection.start()
  await settle()
  return opened
}

describe("does a connection find its way back?", () => {
  it("opens the first address with the token, and hands frames over", async () => {
    const { network, log, connection } = await start()
    expect(network.last().target).toEqual({ url: "ws://a/v1", token: "fixed" })
    expect(connection.send("early")).toBe(false)
    network.last().accept()
    network.last().push({ n: 1 })
    expect(connection.send('{"id":1}')).toBe(true)
    expect(network.last().sent).toEqual([{ id: 1 }])
    expect(log).toEqual(["up", 'frame {"n":1}'])
  })

  it("tries the next address after a loss, with a delay that grows and is capped", async () => {
    const { clock, network, log } = await start()
    network.last().accept()
    network.last().push({})
    network.last().end()
    const waits: number[] = []
    for (let round = 0; round < 8; round++) {
      const before = clock.monoMs()
      const opened = network.sockets.length
      while (network.sockets.length === opened) await clock.advance(10)
      waits.push(clock.monoMs() - before)
      network.last().end()
    }
    expect(network.sockets.slice(0, 4).map((socket) => socket.target.url)).toEqual([...URLS, ...URLS])
    expect(waits).toEqual([100, 100, 200, 200, 400, 400, 800, 800])
    expect(log.slice(0, 3)).toEqual(["up", "frame {}", "down CONNECTION_LOST"])
  })

  it("C4: does not start its delays anew for a server that accepts and drops", async () => {
    const { clock, network } = await start({ urls: ["ws://a/v1"] })
    const waits: number[] = []
    for (let round = 0; round < 4; round++) {
      network.last().accept()
      network.last().end()
      const before = clock.monoMs()
      const opened = network.sockets.length
      while (network.sockets.length === opened) await clock.advance(10)
      waits.push(clock.monoMs() - before)
    }
    expect(waits).toEqual([100, 200, 400, 800])
  })

  it("rejects a first connection after one round over the addresses", async () => {
    const { clock, network, log } = await start()
    network.last().end()
    await clock.advance(200)
    network.last().end({ reason: "refused" })
    expect(log).toEqual(["ended CONNECTION_LOST"])
    expect(network.sockets.length).toBe(2)
  })

  it("keeps trying for a first connection as long as it was told to", async () => {
    const { clock, network, log } = await start({ urls: ["ws://a/v1"], firstMsMax: 1_000 })
    while (log.length === 0) {
      network.last().end()
      await clock.advance(50)
    }
    expect(clock.monoMs()).toBeGreaterThanOrEqual(1_000)
    expect(network.sockets.length).toBeGreaterThan(3)
    expect(log).toEqual(["ended CONNECTION_LOST"])
  })

  it("C5: gives up a lost connection after the outage that it was told to bear", async () => {
    const { clock, network, log } = await start()
    network.last().accept()
    network.last().push({})
    network.last().end()
    while (!log.some((line) => line.startsWith("ended"))) {
      network.last().end()
      await clock.advance(100)
    }
    expect(clock.monoMs()).toBeGreaterThanOrEqual(10_000)
    expect(log).toEqual(["up", "frame {}", "down CONNECTION_LOST", "ended CONNECTION_LOST"])
  })

  it("gives up on an address that does not answer in time", async () => {
    const { clock, network, log } = await start()
    await clock.advance(1_000)
    expect(network.sockets[0]?.isClosedByClient()).toBe(true)
    await clock.advance(100)
    expect(network.last().target.url).toBe("ws://b/v1")
    expect(log).toEqual([])
  })
})

describe("what cannot be cured by trying again?", () => {
  it.each([
    [{ httpStatus: 401 }, "UNAUTHORIZED"],
    [{ httpStatus: 403 }, "FORBIDDEN"],
    [{ httpStatus: 404 }, "INVALID_REQUEST"],
    [{ code: 4401 }, "UNAUTHORIZED"],
    [{ code: 4403 }, "FORBIDDEN"],
    [{ code: 4400 }, "INVALID_REQUEST"],
  ])("C5: %o from every address ends it with %s", async (end, code) => {
    const { clock, network, log } = await start({ firstMsMax: 60_000 })
    network.last().end(end)
    await clock.advance(200)
    network.last().end(end)
    expect(log).toEqual([`ended ${code}`])
  })

  it("asks for another token before it believes that its token is refused", async () => {
    const tokens = ["old", "new", "newer"]
    const asked: string[] = []
    const token = () => {
      const next = tokens.shift() ?? "none"
      asked.push(next)
      return next
    }
    const { clock, network, log } = await start({ urls: ["ws://a/v1"], token, firstMsMax: 60_000 })
    network.last().end({ httpStatus: 401 })
    await clock.advance(200)
    expect(network.last().target.token).toBe("new")
    network.last().accept()
    network.last().push({})
    // Expired while in use: the next one is taken, and nothing has ended.
    network.last().end({ code: 4401 })
    await clock.advance(200)
    expect(network.last().target.token).toBe("newer")
    expect(log).toEqual(["up", "frame {}", "down UNAUTHORIZED"])
    expect(asked).toEqual(["old", "new", "newer"])
  })

  it("ends when the token cannot be had", async () => {
    const { log } = await start({ urls: ["ws://a/v1"], token: () => Promise.reject(new Error("no key")) })
    expect(log).toEqual(["ended UNAUTHORIZED"])
  })
})

describe("does it notice a peer that has gone silently?", () => {
  it("asks after silence, and counts the peer as lost after as long again", async () => {
    const { clock, network, log } = await start()
    network.last().accept()
    await clock.advance(5_000)
    expect([network.last().probes(), log]).toEqual([1, ["up"]])
    await clock.advance(5_000)
    expect(log).toEqual(["up", "down CONNECTION_LOST"])
    expect(network.sockets[0]?.isClosedByClient()).toBe(true)
  })

  it("is content with any sign of life", async () => {
    const { clock, network, log } = await start()
    network.last().accept()
    for (let round = 0; round < 10; round++) {
      await clock.advance(4_000)
      if (round % 2 === 0) network.last().alive()
      else network.last().push({})
    }
    expect(network.last().probes()).toBe(0)
    expect(log.filter((line) => line !== "frame {}")).toEqual(["up"])
  })
})

describe("close", () => {
  it("C3: ends once, from any state, and lets go of socket and timers", async () => {
    for (const arrive of ["idle", "connecting", "open", "waiting", "ended"]) {
      const { clock, network, log, connection } = open()
      if (arrive !== "idle") connection.start()
      await settle()
      if (arrive === "open") network.last().accept()
      if (arrive === "waiting") network.last().end()
      if (arrive === "ended") connection.close()
      connection.close()
      connection.close()
      await clock.advance(60_000)
      expect([arrive, log.filter((line) => line.startsWith("ended"))]).toEqual([arrive, ["ended SHUTTING_DOWN"]])
      expect([arrive, clock.armed(), connection.isOpen]).toEqual([arrive, 0, false])
      expect(network.sockets.length).toBeLessThanOrEqual(1)
    }
  })

  it("C2: does not connect again when whoever heard of the loss closed it", async () => {
    const clock = manualClock()
    const network = fakeTransport()
    const log: string[] = []
    const connection: Connection = new Connection(
      {
        urls: URLS,
        token: "fixed",
        transport: network.transport,
        timing: { ...clock, random01: () => 0 },
        connectMsMax: 1_000,
        firstMsMax: 0,
        outageMsMax: 10_000,
        delayMsInitial: 100,
        delayMsMax: 1_000,
        idleMs: 5_000,
      },
      {
        up: () => log.push("up"),
        frame: () => {},
        down: () => {
          log.push("down")
          connection.close()
        },
        ended: () => log.push("ended"),
        probe: () => {},
      },
    )
    connection.start()
    await settle()
    network.last().accept()
    network.last().end()
    await clock.advance(20_000)
    expect(log).toEqual(["up", "down", "ended"])
    expect(network.sockets.length).toBe(1)
  })
})

describe("under any history", () => {
  it("C1, C2, C3: one socket at a time, up and down alternate, and nothing after the end", async () => {
    const visited = new Set<string>()
    const step = fc.constantFrom("accept", "accept", "end", "refuse", "push", "wait", "wait", "late echo", "close")
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 12, maxLength: 40 }), async (steps) => {
        const { clock, network, log, connection } = await start({ firstMsMax: 5_000 })
        for (const [at, taken] of steps.entries()) {
          // Closing at once would leave nothing to look at.
          if (taken === "close" && at < 8) continue
          const socket = network.last()
          if (taken === "accept" && !socket.isClosedByClient()) socket.accept()
          if (taken === "end") socket.end()
          if (taken === "refuse") socket.end({ httpStatus: 401 })
          if (taken === "push") socket.push({})
          for (const old of taken === "late echo" ? network.sockets.slice(0, -1) : []) {
            old.accept()
            old.push({})
            old.end()
          }
          if (taken === "close") connection.close()
          if (taken === "wait") await clock.advance(1_500)
          expect(network.sockets.filter((each) => each.isOpen()).length).toBeLessThanOrEqual(1)
          visited.add(connection.isOpen ? "open" : (log.at(-1) ?? "connecting"))
        }
        const turns = log
          .filter((line) => !line.startsWith("frame") && line !== "probe")
          .map((line) => line.split(" ")[0])
        const ended = turns.indexOf("ended")
        expect(ended === -1 || ended === turns.length - 1).toBe(true)
        turns.filter((turn) => turn !== "ended").forEach((turn, at) => expect(turn).toBe(at % 2 === 0 ? "up" : "down"))
        connection.close()
      }),
      { numRuns: 150 },
    )
    expect([...visited].some((seen) => seen === "open")).toBe(true)
    expect([...visited].some((seen) => seen.startsWith("down"))).toBe(true)
    expect([...visited].some((seen) => seen.startsWith("ended"))).toBe(true)
  })
})
