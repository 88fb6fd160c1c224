import { createHmac, generateKeyPairSync } from "node:crypto"
import { chmodSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { createServer, type Server } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { AddressInfo } from "node:net"
import { Effect, Result } from "effect"
import { exportJWK, type JWK, type JWTPayload, SignJWT } from "jose"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type AuthOptions, makeAuthenticator } from "../../../gateway/server/auth.ts"
import { doorLimits } from "../../../gateway/server/limits.ts"
import { mintToken, openSecret } from "../../../gateway/server/secret.ts"
import { manualClock } from "../../support/clock.ts"

const SECRET = new Uint8Array(32).fill(9)
const clock = manualClock()
const nowS = Math.floor(clock.nowMs() / 1_000)
const LIMITS = doorLimits()

const verdict = async (token: string, options: AuthOptions = { secret: SECRET, jwks: null }) => {
  const authenticator = await Effect.runPromise(makeAuthenticator(options, clock, LIMITS))
  const result = await Effect.runPromise(Effect.result(authenticator.verify(token)))
  return Result.isSuccess(result) ? result.success : { code: result.failure.code, message: result.failure.message }
}
const good = { sub: "ann", aud: "berth", iss: "berth", exp: nowS + 600 }
const signed = (claims: JWTPayload, header: object = {}, key: Uint8Array = SECRET) =>
  new SignJWT(claims).setProtectedHeader({ alg: "HS256", ...header }).sign(key)
const refused = async (token: string, options?: AuthOptions) => {
  const told = await verdict(token, options)
  expect(told).toMatchObject({ code: "UNAUTHORIZED" })
  return (told as { message: string }).message
}
const raw = (header: object, claims: object, signature = "") =>
  `${Buffer.from(JSON.stringify(header)).toString("base64url")}.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.${signature}`

describe("whom does a token name?", () => {
  it("its sub, as a user of every lane unless it says otherwise", async () => {
    expect(await verdict(await signed(good))).toEqual({
      principal: { owner: "ann", role: "user", laneMax: "urgent" },
      expiresAtMs: good.exp * 1_000,
    })
    expect(await verdict(await signed({ ...good, role: "admin", lane_max: "low" }))).toMatchObject({
      principal: { owner: "ann", role: "admin", laneMax: "low" },
    })
  })

  it("what mintToken was given", async () => {
    const principal = { owner: "bob@example.org", role: "admin", laneMax: "high" } as const
    const token = await mintToken(SECRET, principal, clock.nowMs(), 60_000)
    expect(await verdict(token)).toEqual({ principal, expiresAtMs: (nowS + 60) * 1_000 })
  })

  it("nobody, when a claim is no word of ours", async () => {
    for (const wrong of [
      { role: "root" },
      { lane_max: "top" },
      { sub: "" },
      { sub: "a b" },
      { sub: "x".repeat(129) },
      { sub: "a\r\nb" },
      { sub: "__proto__\u0000" },
    ]) {
      await refused(await signed({ ...good, ...wrong }))
    }
    for (const missing of ["sub", "exp", "aud", "iss"]) await refused(await signed({ ...good, [missing]: undefined }))
  })
})

describe("A1: the algorithm chooses the key", () => {
  it("none is none, in any case", async () => {
    for (const alg of ["none", "None", "NONE", "nOnE", ""]) await refused(raw({ alg, typ: "JWT" }, good))
    await refused(raw({ typ: "JWT" }, good))
  })

  it("other HMACs with the right secret are refused", async () => {
    const text = raw({ alg: "HS512" }, good).slice(0, -1)
    await refused(`${text}.${createHmac("sha512", SECRET).update(text).digest("base64url")}`)
  })

  it("a wrong key, a changed payload, a cut token, garbage", async () => {
    await refused(await signed(good, {}, new Uint8Array(32).fill(1)))
    const token = await signed(good)
    const [head, , signature] = token.split(".")
    await refused(`${head}.${Buffer.from(JSON.stringify({ ...good, sub: "root" })).toString("base64url")}.${signature}`)
    for (const garbage of ["", "a", "a.b", "a.b.c", "..", token.slice(0, -2), `${token}x`, "x".repeat(10_000)])
      await refused(garbage)
  })

  it("a kid that is a path reads no file, and crit is refused", async () => {
    const kid = { kid: "../../../../dev/null" }
    expect(await verdict(await signed(good, kid))).toMatchObject({ principal: { owner: "ann" } })
    await refused(await signed(good, kid, new Uint8Array(32)))
    const text = raw({ alg: "HS256", crit: ["exp2"], exp2: 1 }, good).slice(0, -1)
    await refused(`${text}.${createHmac("sha256", SECRET).update(text).digest("base64url")}`)
  })
})

describe("A2, A3: when and for whom", () => {
  it("an expired one is refused at its very second, a far one for good", async () => {
    expect(await refused(await signed({ ...good, exp: nowS }))).toContain("expired")
    expect(await refused(await signed({ ...good, exp: nowS - 30 }))).toContain("expired")
    expect(await verdict(await signed({ ...good, exp: nowS + 1 }))).toMatchObject({ expiresAtMs: (nowS + 1) * 1_000 })
    expect(await refused(await signed({ ...good, exp: nowS + 25 * 3_600 }))).toContain("24 hours")
    await refused(await signed({ ...good, exp: "never" as unknown as number }))
  })

  it("nbf forgives a minute, and no more", async () => {
    expect(await verdict(await signed({ ...good, nbf: nowS + 59 }))).toMatchObject({ principal: { owner: "ann" } })
    await refused(await signed({ ...good, nbf: nowS + 90 }))
  })

  it("another audience or issuer is refused", async () => {
    await refused(await signed({ ...good, aud: "other" }))
    await refused(await signed({ ...good, iss: "https://evil.example" }))
    expect(await verdict(await signed({ ...good, aud: ["other", "berth"] }))).toMatchObject({
      principal: { owner: "ann" },
    })
  })
})

describe("another issuer's keys", () => {
  const pair = generateKeyPairSync("rsa", { modulusLength: 2_048 })
  let server: Server
  let jwk: JWK
  let jwks: NonNullable<AuthOptions["jwks"]>
  let answer: () => string
  const issuer = "https://issuer.example"
  const rsa = (claims: JWTPayload, kid = "k1") =>
    new SignJWT(claims).setProtectedHeader({ alg: "RS256", kid }).sign(pair.privateKey)

  beforeAll(async () => {
    jwk = { ...(await exportJWK(pair.publicKey)), kid: "k1", alg: "RS256", use: "sig" }
    answer = () => JSON.stringify({ keys: [jwk] })
    server = createServer((_request, response) => response.end(answer()))
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    jwks = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`, issuer }
  })
  afterAll(() => server.close())

  it("verify their tokens, beside ours", async () => {
    const both = { secret: SECRET, jwks }
    expect(await verdict(await rsa({ ...good, iss: issuer }), both)).toMatchObject({ principal: { owner: "ann" } })
    expect(await verdict(await signed(good), both)).toMatchObject({ principal: { owner: "ann" } })
    await refused(await rsa({ ...good, iss: "berth" }), both)
    await refused(await rsa({ ...good, iss: issuer }, "k2"), both)
    await refused(await rsa({ ...good, iss: issuer }), { secret: SECRET, jwks: null })
  })

  it("are no secrets: a public key does not sign (RS to HS)", async () => {
    const pem = pair.publicKey.export({ type: "spki", format: "pem" }) as string
    for (const options of [
      { secret: SECRET, jwks },
      { secret: null, jwks },
    ]) {
      await refused(await signed({ ...good, iss: issuer }, {}, Buffer.from(pem)), options)
      await refused(await signed({ ...good, iss: issuer }, {}, Buffer.from(JSON.stringify(jwk))), options)
    }
  })

  it("that cannot be had are the server's trouble, not the caller's", async () => {
    const token = await rsa({ ...good, iss: issuer })
    answer = () => "<html>"
    expect(await verdict(token, { secret: null, jwks })).toMatchObject({ code: "NOT_READY" })
    expect(await verdict(token, { secret: null, jwks: { url: "http://127.0.0.1:1/keys", issuer } })).toMatchObject({
      code: "NOT_READY",
    })
  })

  it("must be named by an address, and a secret must be long enough", async () => {
    for (const options of [
      { secret: null, jwks: { url: "file:///etc/passwd", issuer } },
      { secret: null, jwks: { url: "nowhere", issuer } },
      { secret: new Uint8Array(31), jwks: null },
    ]) {
      const made = await Effect.runPromise(Effect.result(makeAuthenticator(options, clock, LIMITS)))
      expect(Result.isFailure(made) && made.failure.code).toBe("CONFIG_INVALID")
    }
  })
})

describe("the data directory's secret", () => {
  const dir = () => mkdtempSync(join(tmpdir(), "berth-secret-"))

  it("is made once, for its owner's eyes only, whoever comes at the same time", async () => {
    const dataDir = dir()
    const secrets = await Promise.all(
      Array.from({ length: 8 }, () => Effect.runPromise(Effect.result(openSecret(dataDir)))),
    )
    const made = secrets.map((each) =>
      Result.isSuccess(each) ? Buffer.from(each.success).toString("hex") : each.failure.message,
    )
    expect(new Set(made).size).toBe(1)
    expect(Buffer.from(made[0] ?? "", "hex").length).toBe(32)
    expect(readdirSync(dataDir)).toEqual(["secret"])
    expect(statSync(join(dataDir, "secret")).mode & 0o777).toBe(0o600)
    expect(readFileSync(join(dataDir, "secret"), "utf8")).toMatch(/^[A-Za-z0-9_-]{43}\n$/)
    expect(await Effect.runPromise(openSecret(dataDir))).toEqual(Buffer.from(made[0] ?? "", "hex"))
  })

  it("is taken back from others' eyes", async () => {
    const dataDir = dir()
    await Effect.runPromise(openSecret(dataDir))
    chmodSync(join(dataDir, "secret"), 0o644)
    await Effect.runPromise(openSecret(dataDir))
    expect(statSync(join(dataDir, "secret")).mode & 0o777).toBe(0o600)
  })

  it("is refused when it is damaged or has no place", async () => {
    const dataDir = dir()
    writeFileSync(join(dataDir, "secret"), "short\n")
    for (const place of [dataDir, join(dataDir, "nowhere")]) {
      const result = await Effect.runPromise(Effect.result(openSecret(place)))
      expect(Result.isFailure(result) && result.failure.code).toBe("CONFIG_INVALID")
    }
  })
})
