/** Programs that say when they begin and end, and how many of one owner ran at once by what they said. */
import { existsSync, readFileSync } from "node:fs"
import type { SubmitRequest } from "../../gateway/client/index.ts"

const SCRIPT = `echo "begin $1 $2 $EPOCHREALTIME" >> "$3"; sleep "$4"; echo "end $1 $2 $EPOCHREALTIME" >> "$3"`

/** Appends one line when it begins and one when it ends, each with the time; the file's order is the order of these moments. */
export const spanning = (file: string, owner: string, word: string, ms: number): SubmitRequest => ({
  runtime: "bash",
  code: SCRIPT,
  args: [owner, word, file, String(ms / 1_000)],
  timeoutMs: 600_000,
})

export interface Spans {
  /** The most that ran at once, by owner. */
  readonly atOnceMax: ReadonlyMap<string, number>
  /** How often each word began. */
  readonly begun: ReadonlyMap<string, number>
  /** Words that began and did not end. */
  readonly open: readonly string[]
  /** The longest time in which nothing began. */
  readonly pauseMsMax: number
}

export const spansOf = (file: string): Spans => readSpans(existsSync(file) ? readFileSync(file, "utf8") : "")

/** @param text - lines of `begin|end owner word seconds`, in the order in which they were written */
export function readSpans(text: string): Spans {
  const running = new Map<string, Set<string>>()
  const atOnceMax = new Map<string, number>()
  const begun = new Map<string, number>()
  let lastSeconds: number | null = null
  let pauseMsMax = 0
  for (const line of text.split("\n").filter(Boolean)) {
    const [what = "", owner = "", word = "", seconds = "0"] = line.split(" ")
    const words = running.get(owner) ?? new Set()
    running.set(owner, words)
    if (what === "end") {
      words.delete(word)
      continue
    }
    words.add(word)
    begun.set(word, (begun.get(word) ?? 0) + 1)
    atOnceMax.set(owner, Math.max(atOnceMax.get(owner) ?? 0, words.size))
    if (lastSeconds !== null) pauseMsMax = Math.max(pauseMsMax, (Number(seconds) - lastSeconds) * 1_000)
    lastSeconds = Number(seconds)
  }
  return { atOnceMax, begun, open: [...running.values()].flatMap((words) => [...words]), pauseMsMax }
}
