import type { Readable } from "node:stream"
import { Effect } from "effect"
import type { ProgressLine } from "./pullProgress.ts"

/** Why a pull did not come to its end. */
export type PullEnd =
  | { readonly by: "registry"; readonly words: string }
  /** The engine went away in the middle: that says nothing about the image. */
  | { readonly by: "engine"; readonly cause: unknown }

/** An engine's line is short; what is longer is none. */
const LINE_CHARS_MAX = 65_536

/**
 * Hears an engine out that pulls: one JSON object a line, and an object with `error` where the registry refused. A stream that
 * breaks off is the engine's failure, also where it closes without a word. Interrupted, it closes the stream.
 */
export const followPull = (stream: Readable, heard: (line: ProgressLine) => void): Effect.Effect<void, PullEnd> =>
  Effect.callback<void, PullEnd>((resume) => {
    let rest = ""
    let refused: string | null = null
    const hear = (text: string): void => {
      const line = parsed(text)
      if (line === null) return
      refused ??= line.error ?? null
      heard(line)
    }
    stream.on("data", (bytes: Buffer) => {
      const lines = (rest + bytes.toString()).split("\n")
      rest = (lines.pop() ?? "").slice(0, LINE_CHARS_MAX)
      for (const line of lines) hear(line)
    })
    stream.on("end", () => {
      hear(rest)
      resume(refused === null ? Effect.void : Effect.fail({ by: "registry", words: refused }))
    })
    stream.on("error", (cause) => resume(Effect.fail({ by: "engine", cause })))
    stream.on("close", () => resume(Effect.fail({ by: "engine", cause: new Error("the engine broke off") })))
    return Effect.sync(() => void stream.destroy())
  })

/** Null for what is no line of ours to read. */
const parsed = (text: string): ProgressLine | null => {
  try {
    const line: unknown = JSON.parse(text)
    return typeof line === "object" && line !== null ? line : null
  } catch {
    return null
  }
}
