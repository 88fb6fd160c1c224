import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { DOOR } from "../../../gateway/protocol/limits.ts"
import { foreignOrigins, spokenTo } from "../../support/abuse/rawHttp.ts"
import { connectRaw, type Door, handshake, openDoor } from "../../support/door.ts"

let door: Door
let token: string

beforeAll(async () => {
  door = await openDoor({
    origins: ["https://app.example"],
    limits: { connectionsMax: 6, connectionsPerOwnerMax: 3, headMsMax: 300 },
  })
  token = await door.token("ann")
})
afterAll(() => door.close())

const refusal = async (options: Parameters<typeof handshake>[1]) => {
  const { status, body } = await handshake(door, options)
  if (status !== 101) {
    expect(body.error.message.length).toBeGreaterThan(5)
    expect(body.error.hint.length).toBeGreaterThan(5)
    expect(typeof body.error.retryable).toBe("boolean")
  }
  return `${status} ${body?.error.code ?? ""}`
}
const bearer = (value: string) => ({ authorization: `Bearer ${value}` })

const spoken = (text: string): Promise<string> => spokenTo(door.server.port, text)

describe("who is let in?", () => {
  it("a program with its token in the header, a page of the list with it as a subprotocol", async () => {
    expect(await refusal({ headers: bearer(token) })).toBe("101 ")
    const page = { protocols: ["berth.v1", `berth.token.${token}`], headers: { origin: "https://app.example" } }
    expect(await handshake(door, page)).toMatchObject({ status: 101, protocol: "berth.v1" })
    const own = { ...page, headers: { origin: door.url } }
    expect(await handshake(door, own)).toMatchObject({ status: 101, protocol: "berth.v1" })
  })

  it("no foreign, null or look-alike origin, whatever its token", async () => {
    for (const origin of foreignOrigins("https://app.example", door.url)) {
      expect([origin, await refusal({ headers: { origin, ...bearer(token) } })]).toEqual([origin, "403 FORBIDDEN"])
    }
  })

  it("nobody without a good token, and none in a query string", async () => {
    expect(await refusal({})).toBe("401 UNAUTHORIZED")
    expect(await refusal({ headers: bearer("garbage") })).toBe("401 UNAUTHORIZED")
    expect(await refusal({ headers: bearer(`${token}x`) })).toBe("401 UNAUTHORIZED")
    expect(await refusal({ headers: bearer(await door.token("ann", {}, -1_000)) })).toBe("401 UNAUTHORIZED")
    expect(await refusal({ path: `/v1?token=${token}`, headers: bearer(token) })).toBe("401 UNAUTHORIZED")
    expect(await refusal({ path: "/v2", headers: bearer(token) })).toBe("404 NOT_FOUND")
    expect(await refusal({ protocols: ["berth.v9"], headers: bearer(token) })).toBe("400 INVALID_REQUEST")
    expect(await refusal({ headers: { ...bearer(token), host: "evil.example" } })).toBe("403 FORBIDDEN")
  })

  it("no more of one owner, and no more in all, than there is room for", async () => {
    const ann = await Promise.all([1, 2, 3].map(() => connectRaw(door, token)))
    expect(await refusal({ headers: bearer(token) })).toBe("429 TOO_MANY")
    const bob = await Promise.all([1, 2, 3].map(async () => connectRaw(door, await door.token("bob"))))
    expect(await refusal({ headers: bearer(await door.token("cid")) })).toBe("503 OVERLOADED")
    for (const client of [...ann, ...bob]) client.close()
    await Promise.all([...ann, ...bob].map(({ closed }) => closed))
    await expect.poll(() => door.server.connections()).toBe(0)
    expect(await refusal({ headers: bearer(token) })).toBe("101 ")
  })
})

describe("before anybody has said who he is", () => {
  it("there are four kibibytes of head, and not one more", async () => {
    const asked = (padding: number) =>
      spoken(`GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\nx: ${"a".repeat(padding)}\r\n\r\n`)
    expect(await asked(DOOR.headBytesMax - 200)).toMatch(/^HTTP\/1.1 200 /)
    expect(await asked(DOOR.headBytesMax + 1)).toMatch(/^HTTP\/1.1 431 [^]*"TOO_LARGE"/)
  })

  it("a head that comes too slowly, or never, is cut off", async () => {
    expect(await spoken("GET /v1 HTTP/1.1\r\nhost: 127.0.0.1\r\n")).toMatch(/^HTTP\/1.1 408 [^]*"DEADLINE_EXCEEDED"/)
    expect(await spoken("")).toMatch(/^HTTP\/1.1 408 [^]*"DEADLINE_EXCEEDED"/)
  })

  it("a body that comes too slowly is cut off", async () => {
    expect(await spoken("POST /health HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 1000\r\n\r\nx")).toMatch(
      /^HTTP\/1.1 (404|405|408) /,
    )
  })

  it("addresses that are none are refused, and the server lives", async () => {
    const upgrade =
      "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    for (const target of ["//", "http://[", "*", "/v1%", "\\", "//[::1"]) {
      expect([target, await spoken(`GET ${target} HTTP/1.1\r\nhost: 127.0.0.1\r\n${upgrade}\r\n`)]).toEqual([
        target,
        expect.stringMatching(/^HTTP\/1.1 4\d\d /),
      ])
      expect([target, await spoken(`GET ${target} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n`)]).toEqual([
        target,
        expect.stringMatching(/^HTTP\/1.1 4\d\d /),
      ])
    }
    for (const garbage of [
      "\u0000\u0001\u0002\r\n\r\n",
      "GET / HTTP/9.9\r\n\r\n",
      `GET /v1 HTTP/1.1\r\n${upgrade}\r\n`,
      "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    ]) {
      expect(await spoken(garbage)).toMatch(/^(HTTP\/1.1 4\d\d |$)/)
    }
    expect(await refusal({ headers: bearer(token) })).toBe("101 ")
  })

  it("a handshake that is none is told so", async () => {
    const asked = (lines: string) =>
      spoken(
        `GET /v1 HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${token}\r\nconnection: upgrade\r\nsec-websocket-protocol: berth.v1\r\n${lines}\r\n`,
      )
    const key = "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    for (const lines of [
      "upgrade: websocket\r\n",
      `upgrade: websocket\r\n${key}sec-websocket-version: 7\r\n`,
      `upgrade: h2c\r\n${key}`,
    ]) {
      expect(await asked(lines)).toMatch(/^HTTP\/1.1 400 [^]*"INVALID_REQUEST"/)
    }
  })

  it("data that comes with the handshake's head is no message", async () => {
    const frames = "x".repeat(8_192)
    const head = `GET /v1 HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${token}\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-protocol: berth.v1\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`
    expect(await spoken(head + frames)).toMatch(/^HTTP\/1.1 400 /)
  })
})
