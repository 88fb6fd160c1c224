/**
 * The first check of everything that comes in, before any schema: how deep, how wide, how long, which keys, which numbers.
 * `JSON.parse` takes a depth of a million and turns `1e400` into Infinity; what passes here cannot hurt what comes after (I8).
 * The walk keeps its own stack, one entry a level, so that depth cannot exhaust ours.
 */
import { berthError, type BerthError } from "../../core/errors.ts"
import { DOOR } from "./limits.ts"
import { isWellFormed, utf8Bytes } from "./utf8.ts"

/** Keys that would reach an object's prototype if they were ever assigned. */
const KEYS_REFUSED: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"])

/** How a path is written in errors: `params.files[0].path`. */
export function writePath(keys: readonly PropertyKey[]): string {
  let path = ""
  for (const key of keys) {
    if (typeof key === "number") path += `[${key}]`
    else if (/^[A-Za-z_$][\w$]{0,63}$/.test(String(key))) path += path === "" ? String(key) : `.${String(key)}`
    else path += `[${JSON.stringify(String(key).slice(0, 64))}]`
  }
  return path
}

/** One array or object that is being looked at. */
interface Level {
  readonly container: object
  /** Null for arrays, whose keys are positions. */
  readonly keys: readonly string[] | null
  readonly size: number
  /** The child that comes next. */
  at: number
}

/** A fault of one value, without its place. */
interface Fault {
  readonly code: "INVALID_PARAMS" | "TOO_LARGE"
  readonly message: string
}
const wrong = (message: string): Fault => ({ code: "INVALID_PARAMS", message })
const large = (message: string): Fault => ({ code: "TOO_LARGE", message })

function textFault(text: string, what: "string" | "key"): Fault | null {
  // No UTF-8 form is shorter than its text or longer than three times that: most need no counting.
  const bytes = text.length * 3 <= DOOR.stringBytesMax ? 0 : utf8Bytes(text)
  if (bytes > DOOR.stringBytesMax) return large(`a ${what} is at most ${DOOR.stringBytesMax} bytes`)
  return isWellFormed(text) ? null : wrong(`a ${what} must be valid Unicode: this one has half a surrogate pair`)
}

function leafFault(value: unknown): Fault | null {
  switch (typeof value) {
    case "string":
      return textFault(value, "string")
    case "number":
      return Number.isFinite(value) ? null : wrong("numbers must be finite, at most 1.7976931348623157e308")
    case "boolean":
    case "object":
      return null
    default:
      return wrong(`JSON has no ${typeof value}`)
  }
}

const keyFault = (key: string): Fault | null =>
  KEYS_REFUSED.has(key) ? wrong(`the key ${key} is never allowed`) : textFault(key, "key")

function levelOf(container: object): Level {
  if (Array.isArray(container)) return { container, keys: null, size: container.length, at: 0 }
  const keys = Object.keys(container)
  return { container, keys, size: keys.length, at: 0 }
}

function levelFault({ keys, size }: Level, depth: number): Fault | null {
  if (depth > DOOR.jsonDepthMax) return large(`a message is at most ${DOOR.jsonDepthMax} levels deep`)
  return keys !== null && size > DOOR.jsonKeysMax ? large(`an object has at most ${DOOR.jsonKeysMax} keys`) : null
}

const keyAt = ({ keys }: Level, at: number): string | number => (keys === null ? at : (keys[at] ?? ""))

/** The place of the child that was looked at last, on every level. */
const placeOf = (levels: readonly Level[]): string => writePath(levels.map((level) => keyAt(level, level.at - 1)))

/**
 * Looks at a parsed message from top to bottom.
 *
 * @returns the first thing that is out of bounds, with its path, or null
 */
export function boundsError(message: unknown): BerthError | null {
  const levels: Level[] = []
  const error = ({ code, message: words }: Fault): BerthError => berthError(code, words, { path: placeOf(levels) })
  let values = 0
  let value = message
  for (;;) {
    if (++values > DOOR.jsonValuesMax) return error(large(`a message holds at most ${DOOR.jsonValuesMax} values`))
    const fault = leafFault(value)
    if (fault !== null) return error(fault)
    if (typeof value === "object" && value !== null) {
      const level = levelOf(value)
      const tooMuch = levelFault(level, levels.length + 1)
      if (tooMuch !== null) return error(tooMuch)
      levels.push(level)
    }
    let level = levels.at(-1)
    while (level !== undefined && level.at === level.size) {
      levels.pop()
      level = levels.at(-1)
    }
    if (level === undefined) return null
    const key = keyAt(level, level.at++)
    const refused = typeof key === "string" ? keyFault(key) : null
    if (refused !== null) return error(refused)
    value = (level.container as Record<string | number, unknown>)[key]
  }
}
