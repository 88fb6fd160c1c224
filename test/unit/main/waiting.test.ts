import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { Effect, Fiber } from "effect"
import { describe, expect, it } from "vitest"
import { type BerthError, berthError, type ErrorCode } from "../../../core/errors.ts"
import { waitForBroker } from "../../../gateway/main/waiting.ts"
import { liveClock, seededRandom } from "../../support/clock.ts"

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })

/** Fails with these codes one after another, then succeeds; takes the port as a node does. */
const opening = (codes: readonly ErrorCode[], port: number | null) => {
  const seen = { tries: 0, freed: 0 }
  const open = (free: Effect.Effect<void>): Effect.Effect<string, BerthError> =>
    Effect.gen(function* () {
      const code = codes[seen.tries]
      seen.tries += 1
      if (code !== undefined) return yield* Effect.fail(berthError(code, `try ${seen.tries}`))
      yield* free
      seen.freed += 1
      if (port === null) return "open"
      const server = createServer()
      yield* Effect.callback<void>((resume) => void server.listen(port, "127.0.0.1", () => resume(Effect.void)))
      server.close()
      return "open"
    })
  return { open, seen }
}
const waiting = (open: Parameters<typeof waitForBroker<string>>[1], port: number | null) => {
  const said: string[] = []
  const logger = {
    debug: () => {},
    info: () => {},
    warn: (_: object, text: string) => void said.push(text),
    error: () => {},
  }
  const door = port === null ? null : { port }
  return { said, effect: waitForBroker({ clock: liveClock, random: seededRandom(1), logger, door }, open) }
}

describe("a node whose broker is away at its start", () => {
  it("WB1 is it opened as soon as the broker answers, and is said meanwhile what it waits for?", async () => {
    const { open, seen } = opening(["STORE_UNAVAILABLE", "STORE_UNAVAILABLE"], null)
    const { effect, said } = waiting(open, null)
    expect(await Effect.runPromise(effect)).toBe("open")
    expect(seen.tries).toBe(3)
    expect(said).toEqual(["waiting for the broker: try 1", "waiting for the broker: try 2"])
  })

  it("WB1 does what a person has to put right end the start, at once or later?", async () => {
    for (const codes of [["CONFIG_INVALID"], ["STORE_UNAVAILABLE", "DATA_DIR_LOCKED"]] as const) {
      const { effect } = waiting(opening(codes, null).open, null)
      expect((await Effect.runPromise(Effect.flip(effect))).code).toBe(codes.at(-1))
    }
  })

  it("WB2 does its port say that it lives, why it is not ready, and refuse the rest, and is it free for the door?", async () => {
    const port = await freePort()
    const codes: ErrorCode[] = ["STORE_UNAVAILABLE"]
    const { open, seen } = opening(codes, port)
    // Not opened before somebody has looked.
    const { effect } = waiting(
      (free) =>
        codes.length > 0 && seen.tries > 0 ? Effect.fail(berthError("STORE_UNAVAILABLE", "again")) : open(free),
      port,
    )
    const fiber = Effect.runFork(effect)
    const ask = async (path: string): Promise<readonly [number, unknown]> => {
      for (;;) {
        try {
          const answer = await fetch(`http://127.0.0.1:${port}${path}`)
          return [answer.status, await answer.json()]
        } catch {
          await new Promise((resolve) => setTimeout(resolve, 10))
        }
      }
    }
    expect(await ask("/health")).toEqual([200, { status: "ok" }])
    expect(await ask("/ready?x")).toEqual([
      503,
      { status: "not ready", trouble: expect.stringContaining("waiting for the broker") },
    ])
    expect(await ask("/v1")).toEqual([503, { error: expect.objectContaining({ code: "NOT_READY", retryable: true }) }])
    codes.length = 0
    expect(await Effect.runPromise(Fiber.join(fiber))).toBe("open")
    expect(seen.freed).toBe(1)
  })

  it("WB3 does a wish to stop end the waiting and free the port?", async () => {
    const port = await freePort()
    const away = Effect.fail(berthError("STORE_UNAVAILABLE", "away"))
    const fiber = Effect.runFork(waiting(() => away, port).effect)
    while (
      !(await fetch(`http://127.0.0.1:${port}/health`).then(
        ({ ok }) => ok,
        () => false,
      ))
    )
      await new Promise((resolve) => setTimeout(resolve, 10))
    await Effect.runPromise(Fiber.interrupt(fiber))
    const server = createServer()
    await new Promise<void>((resolve, reject) => server.once("error", reject).listen(port, "127.0.0.1", resolve))
    await new Promise((resolve) => server.close(resolve))
  })
})
