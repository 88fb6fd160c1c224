import { Readable } from "node:stream"
import { Effect } from "effect"
import { type BerthError, berthError } from "../../../core/errors.ts"

/** What one read of an engine's stream gave. `clean` is false when the connection broke. */
export type Read = { readonly chunk: Buffer } | { readonly chunk: null; readonly clean: boolean }

/**
 * Reads a stream chunk by chunk, one at a time: as long as nobody asks for the next, the engine, and at last the program,
 * has to wait. Nothing is buffered beyond the stream's own mark.
 */
export class EngineStream {
  readonly #iterator: AsyncIterator<Buffer>
  readonly #stream: Readable

  constructor(stream: Readable) {
    this.#stream = stream
    // Errors reach the iterator; without a listener an error between two reads would end the process.
    stream.on("error", () => {})
    this.#iterator = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  }

  /** A stream that is all there already. */
  static of(bytes: Buffer): EngineStream {
    return new EngineStream(Readable.from(bytes.length === 0 ? [] : [bytes]))
  }

  readonly next: Effect.Effect<Read> = Effect.suspend(() =>
    Effect.promise(() =>
      this.#iterator.next().then(
        (step): Read => (step.done === true ? { chunk: null, clean: true } : { chunk: step.value }),
        (): Read => ({ chunk: null, clean: false }),
      ),
    ),
  )

  /** Idempotent. A read under way ends. */
  close(): void {
    this.#stream.destroy()
  }
}

const BROKEN = "the connection broke while the program was being fed"

/** Writes all parts with back-pressure; `last` closes the writing half after them. */
const writeAll = (
  socket: NodeJS.WritableStream,
  parts: readonly Uint8Array[],
  last: boolean,
): Effect.Effect<void, BerthError> =>
  Effect.callback<void, BerthError>((resume) => {
    let index = 0
    let settled = false
    const settle = (outcome: Effect.Effect<void, BerthError>) => {
      if (settled) return
      settled = true
      socket.removeListener("error", broken)
      socket.removeListener("close", broken)
      resume(outcome)
    }
    const broken = () => settle(Effect.fail(berthError("BACKEND_UNAVAILABLE", BROKEN)))
    const write = () => {
      while (!settled) {
        const part = parts[index]
        if (part === undefined) return last ? void socket.end(() => settle(Effect.void)) : settle(Effect.void)
        index += 1
        if (!socket.write(part)) return void socket.once("drain", write)
      }
    }
    socket.once("error", broken)
    socket.once("close", broken)
    if (socket.writable) write()
    else broken()
  })

/**
 * Writes all parts and closes the writing half.
 *
 * @param halfway - happens when half of the parts has been written
 */
export const feedAll = (
  socket: NodeJS.WritableStream,
  parts: readonly Uint8Array[],
  halfway: Effect.Effect<void> = Effect.void,
): Effect.Effect<void, BerthError> => {
  const half = Math.floor(parts.length / 2)
  return writeAll(socket, parts.slice(0, half), false).pipe(
    Effect.andThen(halfway),
    Effect.andThen(writeAll(socket, parts.slice(half), true)),
  )
}
