/** Tokens that nobody may come in with, and one that ends. */
import { generateKeyPairSync } from "node:crypto"
import { type JWTHeaderParameters, type JWTPayload, SignJWT } from "jose"
import { TOKEN_AUDIENCE, TOKEN_ISSUER } from "../../../gateway/server/auth.ts"
import { connectRaw } from "../door.ts"
import { type Attack, bearer, knock, type Target } from "./attack.ts"

const REFUSED = "401 UNAUTHORIZED"
const LIFE_S = 600

const claims = (more: JWTPayload = {}): JWTPayload => {
  const nowS = Math.floor(Date.now() / 1_000)
  return {
    sub: "forged",
    aud: TOKEN_AUDIENCE,
    iss: TOKEN_ISSUER,
    iat: nowS,
    exp: nowS + LIFE_S,
    role: "admin",
    ...more,
  }
}
const signed = (
  payload: JWTPayload,
  key: Parameters<SignJWT["sign"]>[0],
  header: JWTHeaderParameters = { alg: "HS256" },
): Promise<string> => new SignJWT(payload).setProtectedHeader(header).sign(key)
const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url")
const inSeconds = (seconds: number): number => Math.floor(Date.now() / 1_000) + seconds

const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2_048 })
const PUBLIC_PEM = new TextEncoder().encode(publicKey.export({ type: "spki", format: "pem" }).toString())

const TOKENS: readonly (readonly [name: string, make: (target: Target) => Promise<string> | string])[] = [
  ["garbage", () => "garbage"],
  ["alg none", () => `${part({ alg: "none" })}.${part(claims())}.`],
  ["alg none with our signature's length", () => `${part({ alg: "none" })}.${part(claims())}.${"A".repeat(43)}`],
  ["RS256 by a key of one's own", () => signed(claims(), privateKey, { alg: "RS256" })],
  ["RS to HS: a public key as the secret", () => signed(claims(), PUBLIC_PEM)],
  ["kid that is a path", () => signed(claims(), new Uint8Array(32), { alg: "HS256", kid: "../../../../dev/null" })],
  [
    "a jwk of one's own in the header",
    () => {
      const jwk = publicKey.export({ format: "jwk" })
      return signed(claims(), privateKey, { alg: "RS256", jwk: jwk as NonNullable<JWTHeaderParameters["jwk"]> })
    },
  ],
  ["HS512 with the right key", ({ secret }) => signed(claims(), secret, { alg: "HS512" })],
  ["expired", ({ secret }) => signed(claims({ exp: inSeconds(-1) }), secret)],
  ["not to end for a year", ({ secret }) => signed(claims({ exp: inSeconds(366 * 86_400) }), secret)],
  [
    "never to end",
    ({ secret }) => {
      const { exp: _, ...endless } = claims()
      return signed(endless, secret)
    },
  ],
  ["of tomorrow", ({ secret }) => signed(claims({ nbf: inSeconds(3_600), exp: inSeconds(7_200) }), secret)],
  ["wrong aud", ({ secret }) => signed(claims({ aud: "elsewhere" }), secret)],
  ["wrong iss", ({ secret }) => signed(claims({ iss: "elsewhere" }), secret)],
  ["an owner that is no name", ({ secret }) => signed(claims({ sub: "a\0b" }), secret)],
  ["a role that there is not", ({ secret }) => signed(claims({ role: "root" }), secret)],
  [
    "changed after it was signed",
    async (target) => {
      const [head, , signature] = (await target.token("forged")).split(".")
      return `${head}.${part(claims())}.${signature}`
    },
  ],
]

export const TOKEN_ATTACKS: readonly Attack[] = [
  ...TOKENS.map(([name, make]) => ({
    name: `a token: ${name}`,
    expected: REFUSED,
    run: async (target: Target) => knock(target, { headers: bearer(await make(target)) }),
  })),
  {
    name: "no token",
    expected: REFUSED,
    run: (target) => knock(target, {}),
  },
  {
    name: "a socket that would outlive its token",
    expected: "closed 4401",
    run: async (target) => {
      const client = await connectRaw(target, await target.token("short", {}, 3_000))
      return `closed ${(await client.closed).code}`
    },
    isPatient: true,
  },
]
