/** How people write quantities on a command line, and how they are shown to them. */
import { berthError, type BerthError } from "../../core/errors.ts"

const DURATION_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const SIZE_BYTES: Readonly<Record<string, number>> = { "": 1, b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 }

/** A usage error; `option` as it is written on the command line. */
export const usageError = (option: string, message: string): BerthError =>
  berthError("INVALID_PARAMS", `${option} ${message}`, {
    path: option,
    hint: "`berth help` shows what each command takes.",
  })

/** `10s`, `1.5m`, `250ms`, `2h`, `1d`, in milliseconds. A unit is needed, but for 0. */
export function parseDurationMs(option: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text)
  const factor = DURATION_MS[match?.[2] ?? ""]
  if (text === "0") return 0
  if (match === null || factor === undefined)
    throw usageError(option, `takes a duration such as 10s, 500ms or 2m, not ${shown(text)}`)
  const ms = Math.round(Number(match[1]) * factor)
  if (!Number.isSafeInteger(ms)) throw usageError(option, `is too long: ${shown(text)}`)
  return ms
}

/** `128m`, `1g`, `64k`, `1000000`, in bytes; units are powers of 1024. */
export function parseSizeBytes(option: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)([kmg]?)(?:i?b)?$/i.exec(text)
  const factor = SIZE_BYTES[(match?.[2] ?? "").toLowerCase()]
  if (match === null || factor === undefined)
    throw usageError(option, `takes a size such as 128m, 1g or 64k, not ${shown(text)}`)
  const bytes = Math.round(Number(match[1]) * factor)
  if (!Number.isSafeInteger(bytes)) throw usageError(option, `is too large: ${shown(text)}`)
  return bytes
}

/** A whole number within bounds. */
export function parseWhole(option: string, text: string, minimum: number, maximum: number): number {
  const number = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
  if (!(number >= minimum && number <= maximum)) {
    throw usageError(option, `takes a whole number from ${minimum} to ${maximum}, not ${shown(text)}`)
  }
  return number
}

/** One of a closed list of words. */
export function parseWord<const W extends string>(option: string, text: string, words: readonly W[]): W {
  const word = words.find((known) => known === text)
  if (word === undefined) throw usageError(option, `takes one of ${words.join(", ")}, not ${shown(text)}`)
  return word
}

/** `K=V`, several times, as one object. A later one wins. */
export function parsePairs(option: string, texts: readonly string[]): Readonly<Record<string, string>> {
  const pairs = texts.map((text): readonly [string, string] => {
    const at = text.indexOf("=")
    if (at <= 0) throw usageError(option, `takes NAME=VALUE, not ${shown(text)}`)
    return [text.slice(0, at), text.slice(at + 1)]
  })
  return Object.fromEntries(pairs)
}

/** A moment: ISO 8601, or a duration from now. Epoch milliseconds. */
export function parseMomentMs(option: string, text: string, nowMs: number): number {
  if (/^\d+(?:\.\d+)?(?:ms|[smhd])$/.test(text)) return nowMs + parseDurationMs(option, text)
  const atMs = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(atMs))
    throw usageError(option, `takes a time such as 2030-01-31T09:00:00Z or a duration such as 10s, not ${shown(text)}`)
  return atMs
}

const shown = (text: string): string => JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text)

/** `850 ms`, `1.2 s`, `3 m 04 s`, `2 h 05 m`. */
export function showMs(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 59_950) return `${(ms / 1_000).toFixed(1)} s`
  const seconds = Math.round(ms / 1_000)
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} m ${String(seconds % 60).padStart(2, "0")} s`
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} m`
}

/** `512 B`, `34 MB`, `1.5 GB`; units are powers of 1024. */
export function showBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"]
  let amount = bytes
  let unit = 0
  while (amount >= 1_000 && unit < units.length - 1) {
    amount /= 1024
    unit += 1
  }
  return `${amount < 10 && unit > 0 ? amount.toFixed(1) : Math.round(amount)} ${units[unit]}`
}
