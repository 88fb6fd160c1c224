/**
 * Who is it? A JSON Web Token becomes a principal, or UNAUTHORIZED.
 *
 *   A1. The algorithm chooses the key, never the other way round: HS256 is checked with our secret alone, the asymmetric
 *       ones with the JWKS alone, anything else with nothing. So neither `none` nor a public key used as a secret passes.
 *   A2. `exp` is required and lies at most `tokenMsMax` ahead. It has no tolerance, because a socket is closed by it;
 *       `nbf` forgives `clockSkewMs`, so that a token made a moment ago on another machine is good.
 *   A3. `aud` is `berth` and `iss` is the one that belongs to the key.
 *   A4. What went wrong is told in our words; the token is in no message and no log line.
 */
import { Effect, Result, Schema } from "effect"
import {
  createRemoteJWKSet,
  decodeProtectedHeader,
  errors,
  type JWTPayload,
  type JWTVerifyGetKey,
  jwtVerify,
} from "jose"
import type { Principal } from "../../actors/api.ts"
import { BerthError, berthError } from "../../core/errors.ts"
import type { Clock } from "../../core/ports/clock.ts"
import { LANES } from "../../core/words.ts"
import { Owner } from "../protocol/fields.ts"
import type { DoorLimits } from "./limits.ts"

export const TOKEN_AUDIENCE = "berth"
/** Issuer of the tokens that are made with the data directory's secret. */
export const TOKEN_ISSUER = "berth"

const SECRET_ALGORITHMS = ["HS256"]
const JWKS_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]

export interface AuthOptions {
  /** Key of HS256 tokens, at least 32 bytes; null: none are taken. */
  readonly secret: Uint8Array | null
  /** Where another issuer publishes its keys; null: there is none. */
  readonly jwks: { readonly url: string; readonly issuer: string } | null
}

/** A principal, and until when it is one. */
export interface Identity {
  readonly principal: Principal
  readonly expiresAtMs: number
}

export interface Authenticator {
  /** Verifies one token; fails with UNAUTHORIZED, or with NOT_READY when the issuer's keys cannot be had. */
  readonly verify: (token: string) => Effect.Effect<Identity, BerthError>
}

const Claims = Schema.Struct({
  sub: Owner,
  exp: Schema.Finite,
  role: Schema.optionalKey(Schema.Literals(["user", "admin"])),
  lane_max: Schema.optionalKey(Schema.Literals(LANES)),
})

const unauthorized = (message: string): BerthError => berthError("UNAUTHORIZED", message)

/** Our words for a library's failure. */
function verifyError(cause: unknown): BerthError {
  if (cause instanceof errors.JWTExpired) return unauthorized("the token has expired")
  if (cause instanceof errors.JWTClaimValidationFailed)
    return unauthorized(`the token's claim ${cause.claim} is missing or wrong`)
  if (cause instanceof errors.JOSEAlgNotAllowed || cause instanceof errors.JOSENotSupported)
    return unauthorized("the token's algorithm is not taken")
  return cause instanceof BerthError ? cause : unauthorized("the token is not valid")
}

/** The issuer's keys, with the failure to get them told apart from a token that names none of them. */
function remoteKeys(url: URL): JWTVerifyGetKey {
  const keys = createRemoteJWKSet(url, { timeoutDuration: 5_000 })
  return async (header, token) => {
    try {
      return await keys(header, token)
    } catch (cause) {
      if (cause instanceof errors.JWKSNoMatchingKey || cause instanceof errors.JWKSMultipleMatchingKeys) throw cause
      throw berthError("NOT_READY", "the issuer's keys cannot be had", {
        cause,
        hint: "The issuer's JWKS address does not answer as it should; try again.",
      })
    }
  }
}

/** What a verified payload says, within our own rules. */
function identityOf(payload: JWTPayload, nowMs: number, limits: DoorLimits): Result.Result<Identity, BerthError> {
  const claims = Schema.decodeUnknownResult(Claims)(payload)
  if (Result.isFailure(claims))
    return Result.fail(unauthorized("the token's claims sub, exp, role or lane_max are missing or wrong"))
  const { sub, exp, role = "user", lane_max: laneMax = "urgent" } = claims.success
  const expiresAtMs = exp * 1_000
  if (expiresAtMs - nowMs > limits.tokenMsMax + limits.clockSkewMs)
    return Result.fail(unauthorized(`the token must expire within ${limits.tokenMsMax / 3_600_000} hours`))
  return Result.succeed({ principal: { owner: sub, role, laneMax }, expiresAtMs })
}

const keysOf = ({ secret, jwks }: AuthOptions) =>
  Effect.try({
    try: () => {
      if (secret !== null && secret.length < 32) throw new RangeError("the token secret must be at least 32 bytes")
      const url = jwks === null ? null : new URL(jwks.url)
      if (url !== null && !/^https?:$/.test(url.protocol))
        throw new RangeError("the JWKS address must be http or https")
      return url === null ? null : remoteKeys(url)
    },
    catch: (cause) =>
      berthError("CONFIG_INVALID", cause instanceof Error ? cause.message : "the keys are not valid", { path: "auth" }),
  })

/** Makes the one place that looks at tokens; CONFIG_INVALID when the keys are none. */
export const makeAuthenticator = (
  options: AuthOptions,
  clock: Clock["Service"],
  limits: DoorLimits,
): Effect.Effect<Authenticator, BerthError> =>
  Effect.map(keysOf(options), (remote) => ({
    verify: (token) =>
      Effect.gen(function* () {
        if (token.length > limits.tokenBytesMax)
          return yield* Effect.fail(unauthorized(`a token is at most ${limits.tokenBytesMax} bytes`))
        const nowMs = clock.nowMs()
        const payload = yield* Effect.tryPromise({
          try: () => verifiedPayload(token, options, remote, nowMs, limits),
          catch: verifyError,
        })
        const identity = yield* Effect.fromResult(identityOf(payload, nowMs, limits))
        return identity.expiresAtMs <= nowMs ? yield* Effect.fail(unauthorized("the token has expired")) : identity
      }),
  }))

/** A1: the payload of a token whose signature and registered claims are good. Rejects with the library's words. */
async function verifiedPayload(
  token: string,
  { secret, jwks }: AuthOptions,
  remote: JWTVerifyGetKey | null,
  nowMs: number,
  limits: DoorLimits,
): Promise<JWTPayload> {
  const { alg = "" } = decodeProtectedHeader(token)
  const common = {
    audience: TOKEN_AUDIENCE,
    requiredClaims: ["exp", "sub"],
    currentDate: new Date(nowMs),
    clockTolerance: limits.clockSkewMs / 1_000,
  }
  if (secret !== null && SECRET_ALGORITHMS.includes(alg))
    return (await jwtVerify(token, secret, { ...common, algorithms: SECRET_ALGORITHMS, issuer: TOKEN_ISSUER })).payload
  if (remote !== null && jwks !== null && JWKS_ALGORITHMS.includes(alg))
    return (await jwtVerify(token, remote, { ...common, algorithms: JWKS_ALGORITHMS, issuer: jwks.issuer })).payload
  throw new errors.JOSEAlgNotAllowed("none of ours")
}
