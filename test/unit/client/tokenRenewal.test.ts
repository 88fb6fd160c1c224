import { describe, expect, it } from "vitest"
import { BerthClient } from "../../../gateway/client/client.ts"
import type { TokenSource } from "../../../gateway/client/endpoint.ts"
import { expiryOf, TokenRenewal } from "../../../gateway/client/tokenRenewal.ts"
import { manualClock, settle } from "../../support/clock.ts"
import { type Frame, fakeTransport } from "../../support/fakeTransport.ts"

const MINUTE_MS = 60_000
const base64url = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url")
const jwt = (expiresAtMs: number, name = "?>~é"): string =>
  `${base64url({ alg: "HS256" })}.${base64url({ sub: name, exp: expiresAtMs / 1_000 })}.c2ln`

/** A renewal whose server takes tokens for as long as they say, and a source that the test replaces. */
function scene(random01 = 0.5) {
  const clock = manualClock()
  const beganAtMs = clock.nowMs()
  const asked: number[] = []
  const taken: string[] = []
  const at = {
    source: (() => {
      asked.push(clock.nowMs() - beganAtMs)
      return jwt(clock.nowMs() + 10 * MINUTE_MS)
    }) as TokenSource,
    refresh: async (token: string) => {
      taken.push(token)
      return { expiresAtMs: expiryOf(token) ?? 0 }
    },
  }
  const timing = { ...clock, random01: () => random01 }
  const renewal = new TokenRenewal({ timing, source: () => at.source, refresh: (token) => at.refresh(token) })
  const up = () => renewal.up(jwt(clock.nowMs() + 10 * MINUTE_MS))
  return { clock, asked, taken, at, renewal, up }
}

describe("is a token renewed before it expires?", () => {
  it.each([
    [0, 6],
    [0.5, 7],
    [0.999_999, 8],
  ])("TR2: chance %d begins after %d of 10 minutes, and again and again", async (random01, minutes) => {
    const { asked, clock, taken, up } = scene(random01)
    up()
    for (let step = 0; step < 30 * 60; step += 1) await clock.advance(1_000)
    expect(asked.slice(0, 3).map((ms) => Math.round(ms / MINUTE_MS))).toEqual([minutes, 2 * minutes, 3 * minutes])
    expect(taken).toHaveLength(asked.length)
  })

  it("TR2: what fails, or is the same token again, is tried again while the old one is good, and not after", async () => {
    const { asked, at, clock, taken, up } = scene()
    const refresh = at.refresh
    at.refresh = () => Promise.reject(new Error("away"))
    up()
    await clock.advance(7 * MINUTE_MS)
    await clock.advance(2.1 * MINUTE_MS)
    expect(asked).toHaveLength(2)
    at.refresh = refresh
    for (let step = 0; step < 60; step += 1) await clock.advance(1_000)
    expect(taken).toHaveLength(1)

    const other = scene()
    const same = jwt(other.clock.nowMs() + 10 * MINUTE_MS)
    let calls = 0
    other.at.source = () => {
      calls += 1
      return same
    }
    other.renewal.up(same)
    for (let step = 0; step < 60 * 60; step += 1) await other.clock.advance(1_000)
    expect(other.taken).toEqual([])
    expect(calls).toBeGreaterThan(3)
    expect(calls).toBeLessThan(12)
  })

  it("TR1 TR3: a fixed token, one that says nothing of its end, and one that is over are left alone", async () => {
    const fixed = scene()
    fixed.at.source = jwt(fixed.clock.nowMs() + MINUTE_MS, "another fixed one")
    fixed.renewal.up(jwt(fixed.clock.nowMs() + MINUTE_MS))
    const strange = ["embedded", "a.b.c", "", `x.${base64url({})}.y`, `x.${base64url(null)}.y`, jwt(1_000)]
    const others = strange.map((token) => {
      const other = scene()
      other.renewal.up(token)
      return other
    })
    for (const { asked, clock, taken } of [fixed, ...others]) {
      await clock.advance(60 * MINUTE_MS)
      expect([asked, taken]).toEqual([[], []])
    }
  })

  it("TR4: a token that comes when the connection is down, or another one is there, is not sent", async () => {
    const { at, clock, renewal, taken, up } = scene()
    let give: (token: string) => void = () => {}
    at.source = () => new Promise<string>((resolve) => (give = resolve))
    up()
    await clock.advance(7 * MINUTE_MS)
    renewal.down()
    up()
    give(jwt(clock.nowMs() + MINUTE_MS, "late"))
    await settle()
    expect(taken).toEqual([])
    renewal.down()
    await clock.advance(60 * MINUTE_MS)
    expect(taken).toEqual([])
  })
})

it("a client with a source of tokens refreshes its open connection by itself, and stops when it is closed", async () => {
  const clock = manualClock()
  const refreshed: Frame[] = []
  const network = fakeTransport(
    (socket, frame) => {
      if (frame.method !== "auth.refresh") return
      refreshed.push(frame)
      socket.reply(frame, { expiresAtMs: clock.nowMs() + 10 * MINUTE_MS })
    },
    (socket) => socket.accept(),
  )
  let made = 0
  const token = () => jwt(clock.nowMs() + 10 * MINUTE_MS, `token ${++made}`)
  const timing = { ...clock, random01: () => 0.5 }
  const options = { urls: ["ws://a/v1"], token, transport: network.transport, timing, idleMs: 24 * 60 * MINUTE_MS }
  const client = await BerthClient.open(options)
  for (let minute = 0; minute < 22; minute += 1) await clock.advance(MINUTE_MS)
  expect(network.sockets).toHaveLength(1)
  expect(refreshed).toHaveLength(3)
  expect(new Set([network.last().target.token, ...refreshed.map(({ params }) => params["token"])]).size).toBe(4)
  await client.close()
  await clock.advance(60 * MINUTE_MS)
  expect(refreshed).toHaveLength(3)
})
