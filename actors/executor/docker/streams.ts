import type { OutputStream } from "../../../core/words.ts"

/**
 * Takes the engine's two streams apart: frames of an 8-byte head (stream, three zero bytes, length) and a body.
 *
 *   SM1. Bodies are passed on as they arrive; only an incomplete head is kept, so memory does not depend on frame sizes.
 *   SM2. Neighbouring bodies of one stream in one chunk are joined: a million tiny lines are not a million writes.
 */
export interface Part {
  readonly stream: OutputStream
  readonly bytes: Uint8Array
}

const HEAD_BYTES = 8

export class Demultiplexer {
  #head: Buffer = Buffer.alloc(0)
  #left = 0
  #stream: OutputStream = "stdout"

  push(chunk: Uint8Array): Part[] {
    const fresh = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    const data = this.#head.length === 0 ? fresh : Buffer.concat([this.#head, fresh])
    this.#head = Buffer.alloc(0)
    const runs: { stream: OutputStream; bodies: Buffer[] }[] = []
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
      const body = data.subarray(at, Math.min(data.length, at + this.#left))
      this.#left -= body.length
      at += body.length
      const last = runs.at(-1)
      if (last !== undefined && last.stream === this.#stream) last.bodies.push(body)
      else runs.push({ stream: this.#stream, bodies: [body] })
    }
    return runs.map(({ stream, bodies }) => ({
      stream,
      bytes: bodies.length === 1 && bodies[0] !== undefined ? bodies[0] : Buffer.concat(bodies),
    }))
  }

  /** True between frames: a stream that ends elsewhere was cut. */
  get whole(): boolean {
    return this.#left === 0 && this.#head.length === 0
  }
}
