import type { OutputStream } from "../../../core/words.ts"

/**
 * Takes the engine's two streams apart: frames of an 8-byte head (stream, three zero bytes, length) and a body.
 *
 *   SM1. Bodies are passed on as they arrive; only an incomplete head is kept, so memory does not depend on frame sizes.
 *   SM2. Neighbouring bodies of one stream in one chunk are joined: a million tiny lines are not a million writes. They are
 *        moved together where they lie, so a chunk that is pushed is ours from then on, and nothing is allocated.
 */
export interface Part {
  readonly stream: OutputStream
  readonly bytes: Uint8Array
}

const HEAD_BYTES = 8

/** A stretch of the chunk. */
interface Run {
  readonly stream: OutputStream
  readonly start: number
  end: number
}

export class Demultiplexer {
  #head: Buffer = Buffer.alloc(0)
  #left = 0
  #stream: OutputStream = "stdout"

  push(chunk: Uint8Array): Part[] {
    const fresh = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    const data = this.#head.length === 0 ? fresh : Buffer.concat([this.#head, fresh])
    this.#head = Buffer.alloc(0)
    const runs: Run[] = []
    let at = 0
    while (at < data.length) {
      if (this.#left === 0) {
        if (data.length - at < HEAD_BYTES) {
          this.#head = Buffer.from(data.subarray(at))
          break
        }
        this.#stream = data[at] === 2 ? "stderr" : "stdout"
        this.#left = data.readUInt32BE(at + 4)
        at += HEAD_BYTES
        continue
      }
      const end = Math.min(data.length, at + this.#left)
      const last = runs.at(-1)
      if (last !== undefined && last.stream === this.#stream) {
        data.copyWithin(last.end, at, end)
        last.end += end - at
      } else runs.push({ stream: this.#stream, start: at, end })
      this.#left -= end - at
      at = end
    }
    return runs.map(({ end, start, stream }) => ({ stream, bytes: data.subarray(start, end) }))
  }

  /** True between frames: a stream that ends elsewhere was cut. */
  get whole(): boolean {
    return this.#left === 0 && this.#head.length === 0
  }
}
