/**
 * Keeps the token of an open connection fresh, so that the server has no reason to close it.
 *
 *   down ──up──▶ waiting ──time──▶ renewing ──taken, refused, the same again──▶ waiting          any ──down──▶ down
 *
 *   TR1. Only where a fresh token can be had: a fixed one is nobody's to renew.
 *   TR2. It begins when 60 to 80 % of what is left has passed, by chance, so that many clients do not come at once; what
 *        did not work is tried again after as much of what is still left, at most once in `WAIT_MS_MIN`.
 *   TR3. A token whose expiry cannot be read, or that has expired, is left to the server, which closes the connection; the next one
 *        gets a fresh token anyway.
 *   TR4. What comes back after the connection went down changes nothing.
 */
import type { TokenSource } from "./endpoint.ts"
import type { Timing } from "./timing.ts"

const WAIT_MS_MIN = 1_000
/** Timers of the platform hold no more. */
const WAIT_MS_MAX = 2 ** 31 - 1
const EARLIEST = 0.6
const SPREAD = 0.2

export interface TokenRenewalOptions {
  readonly timing: Timing
  /** As it is now: somebody may have put a fixed token in its place. */
  readonly source: () => TokenSource
  /** Tells the server; resolves with the new token's expiry. */
  readonly refresh: (token: string) => Promise<{ readonly expiresAtMs: number }>
}

export class TokenRenewal {
  readonly #options: TokenRenewalOptions
  /** Grows with each connection and each end of one (TR4). */
  #generation = 0
  #used = ""
  #cancelTimer: () => void = () => {}

  constructor(options: TokenRenewalOptions) {
    this.#options = options
  }

  /** A connection is there, and used this token. */
  up(token: string): void {
    this.down()
    this.#used = token
    this.#wait(expiryOf(token))
  }

  down(): void {
    this.#generation += 1
    this.#cancelTimer()
  }

  #wait(expiresAtMs: number | null): void {
    const { source, timing } = this.#options
    const leftMs = (expiresAtMs ?? 0) - timing.nowMs()
    if (expiresAtMs === null || leftMs <= 0 || typeof source() !== "function") return
    const waitMs = Math.max(WAIT_MS_MIN, leftMs * (EARLIEST + SPREAD * timing.random01()))
    const generation = this.#generation
    this.#cancelTimer = timing.after(Math.min(waitMs, WAIT_MS_MAX), () => {
      this.#renewed(expiresAtMs).then(
        (nextMs) => generation === this.#generation && this.#wait(nextMs),
        () => generation === this.#generation && this.#wait(expiresAtMs),
      )
    })
  }

  /** @returns when the token that is used now expires */
  async #renewed(expiresAtMs: number): Promise<number> {
    const { refresh, source } = this.#options
    const generation = this.#generation
    const from = source()
    const token = typeof from === "function" ? await from() : from
    // A source may keep a token for a while.
    if (generation !== this.#generation || token === this.#used) return expiresAtMs
    const next = await refresh(token)
    if (generation === this.#generation) this.#used = token
    return next.expiresAtMs
  }
}

/** When a JWT expires, in epoch milliseconds, as it says itself; null for what is none. The server believes no client. */
export function expiryOf(token: string): number | null {
  const payload = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/")
  try {
    const claims: unknown = JSON.parse(atob(payload))
    const exp = typeof claims === "object" && claims !== null && "exp" in claims ? claims.exp : null
    return typeof exp === "number" && Number.isFinite(exp) ? exp * 1_000 : null
  } catch {
    return null
  }
}
