import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Connection } from "../../../gateway/client/connection.ts"
import { manualClock, settle } from "../../support/clock.ts"
import { openConnection, startConnection, URLS } from "../../support/fakeConnection.ts"
import { fakeTransport } from "../../support/fakeTransport.ts"

describe("close", () => {
  it("C3: ends once, from any state, and lets go of socket and timers", async () => {
    for (const arrive of ["idle", "connecting", "open", "waiting", "ended"]) {
      const { clock, network, log, connection } = openConnection()
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

describe("a socket that was given up", () => {
  it("C1: changes nothing any more, whatever it still says", async () => {
    const { clock, network, log } = await startConnection()
    network.endsOnClose = false
    network.last().accept()
    await clock.advance(10_000)
    await clock.advance(200)
    network.last().accept()
    const [dead] = network.sockets
    dead?.push({ late: true })
    dead?.accept()
    dead?.end({ httpStatus: 401 })
    await clock.advance(100)
    expect(log).toEqual(["up", "down CONNECTION_LOST", "up"])
    expect(network.last().isOpen()).toBe(true)
  })
})

describe("under any history", () => {
  it("C1, C2, C3: one socket at a time, up and down alternate, and nothing after the end", async () => {
    const visited = new Set<string>()
    const step = fc.constantFrom("accept", "accept", "end", "refuse", "push", "wait", "wait", "late echo", "close")
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 12, maxLength: 40 }), async (steps) => {
        const { clock, network, log, connection } = await startConnection({ firstMsMax: 5_000 })
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
