const KEY_BYTES = 16
/** Asking the platform for chance costs more than a key: so it is asked for many at once. */
const KEYS_AT_ONCE = 64

/** New idempotency keys of 128 random bits: a submit whose reply was lost can be sent again and makes no second task. */
export class SubmitKeys {
  readonly #chance = new Uint8Array(KEY_BYTES * KEYS_AT_ONCE)
  #used = KEYS_AT_ONCE

  next(): string {
    if (this.#used === KEYS_AT_ONCE) {
      crypto.getRandomValues(this.#chance)
      this.#used = 0
    }
    const bytes = this.#chance.subarray(this.#used * KEY_BYTES, (this.#used + 1) * KEY_BYTES)
    this.#used += 1
    let key = "sdk-"
    for (const byte of bytes) key += byte.toString(16).padStart(2, "0")
    return key
  }
}
