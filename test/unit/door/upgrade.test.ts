import { Result } from "effect"
import { describe, expect, it } from "vitest"
import { bearerToken, type DoorNames, hostName, upgradeToken } from "../../../gateway/server/upgrade.ts"

const NAMES: DoorNames = {
  hosts: new Set(["127.0.0.1", "localhost", "::1", "berth.example"]),
  origins: new Set(["https://app.example", "http://127.0.0.1:7411"]),
}
interface Try {
  readonly url?: string
  readonly host?: string
  readonly origin?: string
  readonly authorization?: string
  readonly protocols?: string
}
const asked = ({ url = "/v1", protocols = "berth.v1", host = "127.0.0.1:7411", ...headers }: Try) => {
  const verdict = upgradeToken(
    { method: "GET", url, headers: { host, "sec-websocket-protocol": protocols, ...headers } },
    NAMES,
  )
  return Result.isSuccess(verdict) ? verdict.success : verdict.failure.code
}
const AUTH = { authorization: "Bearer t.o.k" }

describe("U1: under which names?", () => {
  it("those of the list, with any port, in any case", () => {
    for (const host of ["127.0.0.1", "localhost:80", "LOCALHOST:7411", "[::1]:7411", "berth.example"]) {
      expect([host, asked({ host, ...AUTH })]).toEqual([host, "t.o.k"])
    }
  })
  it("no others, and nothing that only looks like one", () => {
    for (const host of [
      "",
      "evil.example",
      "127.0.0.1.evil.example",
      "berth.example.",
      "berth.example@evil",
      "berth.example:x",
      "localhost:7411:1",
      "xberth.example",
    ]) {
      expect([host, asked({ host, ...AUTH })]).toEqual([host, "FORBIDDEN"])
    }
    expect([hostName(undefined), hostName("a b"), hostName("[::1]")]).toEqual([null, null, "::1"])
  })
})

describe("U2: from which pages?", () => {
  it("those of the list, whole and exact", () => {
    const protocols = "berth.v1, berth.token.t.o.k"
    expect(asked({ origin: "https://app.example", protocols })).toBe("t.o.k")
    for (const origin of [
      "null",
      "",
      "https://evil.example",
      "http://app.example",
      "https://app.example:444",
      "https://app.example.evil.example",
      "https://evil-app.example",
      "https://APP.example",
      "https://app.example/",
      "file://",
      "http://127.0.0.1:7412",
    ]) {
      expect([origin, asked({ origin, protocols, ...AUTH })]).toEqual([origin, "FORBIDDEN"])
    }
  })
  it("without one, only with the token in the header", () => {
    expect(asked(AUTH)).toBe("t.o.k")
    expect(asked({ protocols: "berth.v1, berth.token.t.o.k" })).toBe("UNAUTHORIZED")
    expect(asked({})).toBe("UNAUTHORIZED")
  })
})

describe("U3: where is the token?", () => {
  it("never in the query string, even beside a good one", () => {
    for (const name of ["token", "access_token", "jwt", "authorization", "Bearer"]) {
      expect([name, asked({ url: `/v1?${name}=t.o.k`, ...AUTH })]).toEqual([name, "UNAUTHORIZED"])
    }
  })
  it("once, and as it should be written", () => {
    expect(asked({ origin: "https://app.example", protocols: "berth.v1, berth.token.a, berth.token.b" })).toBe(
      "UNAUTHORIZED",
    )
    expect(asked({ origin: "https://app.example", protocols: "berth.v1, berth.token." })).toBe("UNAUTHORIZED")
    for (const authorization of ["Basic YTpi", "Bearer", "Bearer  a b", "bearer", "Token x"]) {
      expect([authorization, bearerToken({ method: "GET", url: "/", headers: { authorization } })]).toEqual([
        authorization,
        null,
      ])
    }
  })
})

describe("what else is asked", () => {
  it("the path and the subprotocol", () => {
    for (const url of ["/", "/v2", "/v1/", "/v1/x", "//v1", "/V1"])
      expect([url, asked({ url, ...AUTH })]).toEqual([url, "NOT_FOUND"])
    for (const protocols of ["", "berth.v2", "berth.token.t.o.k", "xberth.v1"]) {
      expect([protocols, asked({ protocols, ...AUTH })]).toEqual([protocols, "INVALID_REQUEST"])
    }
  })
  it("an address that is none is refused, not thrown", () => {
    for (const url of ["//", "http://", "*", "//[", "/v1\\"]) expect(typeof asked({ url, ...AUTH })).toBe("string")
  })
})
