import { randomFillSync } from "node:crypto"
import { Layer } from "effect"
import { Random } from "../../core/ports/random.ts"

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
const TIME_LETTERS = 10
const CHANCE_LETTERS = 16

/** Asked for many ids at a time: a call for a few bytes costs as much as one for thousands. */
const pool = new Uint8Array(256 * CHANCE_LETTERS)
let used = pool.length

function chanceBytes(): Uint8Array {
  if (used === pool.length) {
    randomFillSync(pool)
    used = 0
  }
  used += CHANCE_LETTERS
  return pool.subarray(used - CHANCE_LETTERS, used)
}

/** 48 bits of time and 80 of chance in Crockford's base 32, as a ULID in lower case: no id begins with a dash, and ids sort by age. */
function newId(): string {
  let timeMs = Date.now()
  let time = ""
  for (let index = 0; index < TIME_LETTERS; index += 1) {
    time = ALPHABET.charAt(timeMs % 32) + time
    timeMs = Math.floor(timeMs / 32)
  }
  let chance = ""
  for (const byte of chanceBytes()) chance += ALPHABET.charAt(byte % 32)
  return time + chance
}

export const liveRandom: Layer.Layer<Random> = Layer.succeed(Random, { next01: () => Math.random(), id: newId })
