/**
 * Finds the bootstrap's markers in the bytes that a container prints, and gives the rest back exactly.
 *
 *   MK1. A marker is `\x1e<nonce> words\n` without another `\x1e` in it, and stands anywhere: a program's last line need not end with a newline.
 *   MK2. How the bytes are cut into chunks makes no difference.
 *   MK3. What is held back because it may become a marker is at most `MARKER_BYTES_MAX` bytes.
 */

/** Longer than any marker that the bootstrap writes. */
export const MARKER_BYTES_MAX = 256

export type Piece =
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "marker"; readonly words: readonly string[] }

const SIGN = 0x1e
const NEWLINE = 0x0a

export class MarkerFilter {
  readonly #prefix: Buffer
  #held: Buffer = Buffer.alloc(0)

  constructor(nonce: string) {
    this.#prefix = Buffer.concat([Buffer.of(SIGN), Buffer.from(`${nonce} `, "latin1")])
  }

  /** @returns the pieces that are certain now, in order; empty ones are left out */
  push(chunk: Uint8Array): Piece[] {
    const fresh = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    const data = this.#held.length === 0 ? fresh : Buffer.concat([this.#held, fresh])
    const pieces: Piece[] = []
    let from = 0
    let look = 0
    for (;;) {
      const at = data.indexOf(SIGN, look)
      if (at < 0) break
      const verdict = this.#markerAt(data, at)
      if (verdict === "no") {
        look = at + 1
        continue
      }
      if (at > from) pieces.push({ kind: "bytes", bytes: data.subarray(from, at) })
      if (verdict === "more") {
        this.#held = Buffer.from(data.subarray(at))
        return pieces
      }
      pieces.push({ kind: "marker", words: verdict.words })
      from = verdict.end
      look = from
    }
    this.#held = Buffer.alloc(0)
    if (from < data.length) pieces.push({ kind: "bytes", bytes: data.subarray(from) })
    return pieces
  }

  /** The stream is over: what was held back was no marker. */
  flush(): Piece[] {
    const rest = this.#held
    this.#held = Buffer.alloc(0)
    return rest.length === 0 ? [] : [{ kind: "bytes", bytes: rest }]
  }

  #markerAt(data: Buffer, at: number): "no" | "more" | { readonly words: string[]; readonly end: number } {
    const known = Math.min(this.#prefix.length, data.length - at)
    if (data.compare(this.#prefix, 0, known, at, at + known) !== 0) return "no"
    if (known < this.#prefix.length) return "more"
    const end = data.indexOf(NEWLINE, at + known)
    const next = data.indexOf(SIGN, at + known)
    if (next >= 0 && (end < 0 || next < end)) return "no"
    if (end < 0) return data.length - at < MARKER_BYTES_MAX ? "more" : "no"
    if (end - at >= MARKER_BYTES_MAX) return "no"
    const text = data.toString("latin1", at + known, end)
    return { words: text.split(" ").filter((word) => word !== ""), end: end + 1 }
  }
}
