/**
 * The first check of everything that comes in, before any schema: how deep, how wide, how long, which keys, which numbers.
 * `JSON.parse` takes a depth of a million and turns `1e400` into Infinity; what passes here cannot hurt what comes after (I8).
 * The walk keeps its own stack, so that depth cannot exhaust ours.
 */
import { berthError, type BerthError } from "../../core/errors.ts"
import { DOOR } from "./limits.ts"
import { isWellFormed, utf8Bytes } from "./utf8.ts"

/** Keys that would reach an object's prototype if they were ever assigned. */
const KEYS_REFUSED: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"])

interface Place {
  readonly value: unknown
  readonly depth: number
  readonly parent: Place | null
  readonly key: string | number
}

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

function pathOf(place: Place): string {
  const keys: (string | number)[] = []
  for (let at: Place | null = place; at !== null && at.parent !== null; at = at.parent) keys.unshift(at.key)
  return writePath(keys)
}

const wrong = (place: Place, message: string): BerthError =>
  berthError("INVALID_PARAMS", message, { path: pathOf(place) })
const large = (place: Place, message: string): BerthError => berthError("TOO_LARGE", message, { path: pathOf(place) })

/**
 * Looks at a parsed message from top to bottom.
 *
 * @returns the first thing that is out of bounds, with its path, or null
 */
export function boundsError(message: unknown): BerthError | null {
  const open: Place[] = [{ value: message, depth: 0, parent: null, key: "" }]
  let values = 0
  for (let place = open.pop(); place !== undefined; place = open.pop()) {
    const error = leafError(place) ?? (isContainer(place.value) ? openContainer(place, place.value, open) : null)
    if (error !== null) return error
    if (++values + open.length > DOOR.jsonValuesMax) {
      return berthError("TOO_LARGE", `a message holds at most ${DOOR.jsonValuesMax} values`)
    }
  }
  return null
}

const isContainer = (value: unknown): value is object => typeof value === "object" && value !== null

function leafError(place: Place): BerthError | null {
  const { value } = place
  switch (typeof value) {
    case "string":
      if (utf8Bytes(value) > DOOR.stringBytesMax)
        return large(place, `a string is at most ${DOOR.stringBytesMax} bytes`)
      return isWellFormed(value)
        ? null
        : wrong(place, "a string must be valid Unicode: this one has half a surrogate pair")
    case "number":
      return Number.isFinite(value) ? null : wrong(place, "numbers must be finite, at most 1.7976931348623157e308")
    case "boolean":
      return null
    case "object":
      return null
    default:
      return wrong(place, `JSON has no ${typeof value}`)
  }
}

function openContainer(place: Place, container: object, open: Place[]): BerthError | null {
  const depth = place.depth + 1
  if (depth > DOOR.jsonDepthMax) return large(place, `a message is at most ${DOOR.jsonDepthMax} levels deep`)
  if (Array.isArray(container)) {
    if (container.length > DOOR.jsonValuesMax)
      return large(place, `a message holds at most ${DOOR.jsonValuesMax} values`)
    // Backwards, so that the first element is looked at first.
    for (let at = container.length - 1; at >= 0; at--)
      open.push({ value: container[at], depth, parent: place, key: at })
    return null
  }
  const keys = Object.keys(container)
  if (keys.length > DOOR.jsonKeysMax) return large(place, `an object has at most ${DOOR.jsonKeysMax} keys`)
  for (const key of keys.reverse()) {
    const child = { value: (container as Record<string, unknown>)[key], depth, parent: place, key }
    if (KEYS_REFUSED.has(key)) return wrong(child, `the key ${key} is never allowed`)
    if (utf8Bytes(key) > DOOR.stringBytesMax) return large(child, `a key is at most ${DOOR.stringBytesMax} bytes`)
    if (!isWellFormed(key)) return wrong(child, "a key must be valid Unicode: this one has half a surrogate pair")
    open.push(child)
  }
  return null
}
