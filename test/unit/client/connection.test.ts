import { describe, expect, it } from "vitest"
import { startConnection, URLS } from "../../support/fakeConnection.ts"

describe("does a connection find its way back?", () => {
  it("opens the first address with the token, and hands frames over", async () => {
    const { network, log, connection } = await startConnection()
    expect(network.last().target).toEqual({ url: "ws://a/v1", token: "fixed" })
    expect(connection.send("early")).toBe(false)
    network.last().accept()
    network.last().push({ n: 1 })
    expect(connection.send('{"id":1}')).toBe(true)
    expect(network.last().sent).toEqual([{ id: 1 }])
    expect(log).toEqual(["up", 'frame {"n":1}'])
  })

  it("tries the next address after a loss, with a delay that grows and is capped", async () => {
    const { clock, network, log } = await startConnection()
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
    const { clock, network } = await startConnection({ urls: ["ws://a/v1"] })
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

  it("C4: starts its delays anew after a server that said something", async () => {
    const { clock, network } = await startConnection({ urls: ["ws://a/v1"], firstMsMax: 60_000 })
    const waitMs = async () => {
      const [before, opened] = [clock.monoMs(), network.sockets.length]
      network.last().end()
      while (network.sockets.length === opened) await clock.advance(10)
      return clock.monoMs() - before
    }
    expect([await waitMs(), await waitMs(), await waitMs()]).toEqual([100, 200, 400])
    network.last().accept()
    network.last().push({})
    expect(await waitMs()).toBe(100)
  })

  it("rejects a first connection after one round over the addresses", async () => {
    const { clock, network, log } = await startConnection()
    network.last().end()
    await clock.advance(200)
    network.last().end({ reason: "refused" })
    expect(log).toEqual(["ended CONNECTION_LOST"])
    expect(network.sockets.length).toBe(2)
  })

  it("keeps trying for a first connection as long as it was told to", async () => {
    const { clock, network, log } = await startConnection({ urls: ["ws://a/v1"], firstMsMax: 1_000 })
    while (log.length === 0) {
      network.last().end()
      await clock.advance(50)
    }
    expect(clock.monoMs()).toBeGreaterThanOrEqual(1_000)
    expect(network.sockets.length).toBeGreaterThan(3)
    expect(log).toEqual(["ended CONNECTION_LOST"])
  })

  it("C5: gives up a lost connection after the outage that it was told to bear", async () => {
    const { clock, network, log } = await startConnection()
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
    const { clock, network, log } = await startConnection()
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
    const { clock, network, log } = await startConnection({ firstMsMax: 60_000 })
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
    const { clock, network, log } = await startConnection({ urls: ["ws://a/v1"], token, firstMsMax: 60_000 })
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
    const { log } = await startConnection({ urls: ["ws://a/v1"], token: () => Promise.reject(new Error("no key")) })
    expect(log).toEqual(["ended UNAUTHORIZED"])
  })
})

describe("does it notice a peer that has gone silently?", () => {
  it("asks after silence, and counts the peer as lost after as long again", async () => {
    const { clock, network, log } = await startConnection()
    network.last().accept()
    await clock.advance(5_000)
    expect([network.last().probes(), log]).toEqual([1, ["up"]])
    await clock.advance(5_000)
    expect(log).toEqual(["up", "down CONNECTION_LOST"])
    expect(network.sockets[0]?.isClosedByClient()).toBe(true)
  })

  it("is content with any sign of life", async () => {
    const { clock, network, log } = await startConnection()
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
