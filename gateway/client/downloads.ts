/** Downloads of one client: no more at a time than the door gives an owner, and again where others have taken the places. */
import { asBerthError, type ErrorCode } from "../../core/errors.ts"
import { retryDelayMs } from "../../core/policy/retry.ts"
import { REFUSAL_RETRY } from "./rpc.ts"
import type { Timing } from "./timing.ts"

const NO_PLACE: readonly ErrorCode[] = ["TOO_MANY", "OVERLOADED"]

/** Waits until `begin` calls back; when the signal aborts, cancels that and rejects with its reason. */
const waited = (begin: (done: () => void) => () => void, signal: AbortSignal | undefined): Promise<void> =>
  new Promise((resolve, reject) => {
    const abort = () => {
      cancel()
      reject(signal?.reason)
    }
    const cancel = begin(() => {
      signal?.removeEventListener("abort", abort)
      resolve()
    })
    signal?.addEventListener("abort", abort, { once: true })
  })

export class Downloads {
  readonly #timing: Timing
  readonly #atOnceMax: number
  readonly #patienceMs: number
  readonly #waiting = new Set<() => void>()
  #busy = 0

  /** @param patienceMs - a refusal for want of room is tried again for this long */
  constructor(timing: Timing, atOnceMax: number, patienceMs: number) {
    this.#timing = timing
    this.#atOnceMax = atOnceMax
    this.#patienceMs = patienceMs
  }

  /** What `fetch` gives, once it is its turn. */
  async run<A>(fetch: () => Promise<A>, signal: AbortSignal | undefined): Promise<A> {
    signal?.throwIfAborted()
    if (this.#busy < this.#atOnceMax) this.#busy += 1
    else await waited((turn) => this.#enqueue(turn), signal)
    try {
      return await this.#insisted(fetch, signal)
    } finally {
      const [next] = this.#waiting
      // The place is handed on, so nobody who comes now can take it.
      if (next === undefined) this.#busy -= 1
      else next()
    }
  }

  #enqueue(turn: () => void): () => void {
    const called = () => {
      this.#waiting.delete(called)
      turn()
    }
    this.#waiting.add(called)
    return () => this.#waiting.delete(called)
  }

  async #insisted<A>(fetch: () => Promise<A>, signal: AbortSignal | undefined): Promise<A> {
    const { monoMs, after, random01 } = this.#timing
    const untilMonoMs = monoMs() + this.#patienceMs
    for (let refusals = 1; ; refusals += 1) {
      try {
        return await fetch()
      } catch (cause) {
        if (!NO_PLACE.includes(asBerthError(cause).code) || monoMs() >= untilMonoMs) throw cause
        const delayMs = retryDelayMs(REFUSAL_RETRY, Math.min(refusals, 32), random01())
        await waited((done) => after(delayMs, done), signal)
      }
    }
  }
}
