import type { OutputStream } from "../../core/words.ts"
import type { TaskEvent } from "./events.ts"

interface Kept {
  readonly chunks: Uint8Array[]
  bytes: number
  omitted: number
}

const nothing = (): Record<OutputStream, Kept> => ({
  stdout: { chunks: [], bytes: 0, omitted: 0 },
  stderr: { chunks: [], bytes: 0, omitted: 0 },
})

/** The beginning of what the last run of a program printed, as text, with a mark where bytes are missing. */
export class Collected {
  readonly #bytesMax: number
  #kept = nothing()

  /** @param bytesMax - kept of each stream */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  add(event: TaskEvent): void {
    if (event.type === "state" && event.facts.includes("started")) this.#kept = nothing()
    if (event.type === "gap") this.#kept[event.stream].omitted += event.bytes ?? 0
    if (event.type === "output") this.#print(this.#kept[event.stream], event.bytes)
  }

  /** Invalid UTF-8 becomes U+FFFD. Ends with a line that says how much is missing, if anything is. */
  text(stream: OutputStream): string {
    const { chunks, omitted } = this.#kept[stream]
    const decoder = new TextDecoder()
    const text = chunks.map((chunk) => decoder.decode(chunk, { stream: true })).join("") + decoder.decode()
    return omitted === 0 ? text : `${text}\n[${omitted} more bytes]\n`
  }

  #print(kept: Kept, bytes: Uint8Array): void {
    const room = kept.omitted > 0 ? 0 : this.#bytesMax - kept.bytes
    const taken = Math.min(room, bytes.length)
    if (taken > 0) kept.chunks.push(bytes.subarray(0, taken))
    kept.bytes += taken
    kept.omitted += bytes.length - taken
  }
}
