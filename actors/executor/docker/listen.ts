import { Effect } from "effect"
import type { AttemptSink } from "../../../core/ports/executor.ts"
import type { OutputStream } from "../../../core/words.ts"
import { type EndReport, parseEnd } from "./exit.ts"
import type { EngineStream } from "./engineStream.ts"
import { MarkerFilter, type Piece } from "./markers.ts"
import { Demultiplexer } from "./streams.ts"

/**
 * Follows what one container prints, until its end markers or the end of the stream.
 *
 *   LI1. `began` is told once, before any byte of output.
 *   LI2. A stream's bytes are those between its begin and its end marker; offsets count them and nothing else.
 *   LI3. Bytes below a stream's `from` are not told again.
 *   LI4. Output without its begin marker is a log whose beginning was dropped: it has no offset, so it is told as lost.
 *   LI5. It is over when both streams have shown the end marker: whatever the program wrote came before it.
 */
export type Heard =
  | { readonly kind: "ended"; readonly end: EndReport }
  | { readonly kind: "incomplete" }
  | { readonly kind: "closed"; readonly clean: boolean }
  /** The kept log does not reach back to the begin. */
  | { readonly kind: "cut" }

interface Channel {
  filter: MarkerFilter
  /** Bytes of the program's output seen so far. */
  seenBytes: number
  fromBytes: number
  began: boolean
  ended: boolean
}

/** What is known of a container's output so far; survives a change of the underlying stream. */
export class Listener {
  readonly #sink: AttemptSink
  readonly #onBegan: () => void
  readonly #channels: Record<OutputStream, Channel>
  readonly #bootstrapped: boolean
  #end: EndReport | null = null
  #incomplete = false
  #cut = false
  #skipping = false
  readonly #nonce: string
  readonly #source: "attached" | "log"
  #told = false

  constructor(input: {
    readonly nonce: string
    readonly sink: AttemptSink
    readonly onBegan: () => void
    readonly from: Readonly<Record<OutputStream, number>>
    /** False for images without a shell: then there are no markers and every byte is output. */
    readonly bootstrapped: boolean
    /** What is listened to. An attached stream is whole: what comes before its begin is noise of the image's shell. */
    readonly source: "attached" | "log"
  }) {
    this.#nonce = input.nonce
    this.#source = input.source
    this.#sink = input.sink
    this.#onBegan = input.onBegan
    this.#bootstrapped = input.bootstrapped
    const channel = (stream: OutputStream): Channel => ({
      filter: new MarkerFilter(input.nonce),
      seenBytes: 0,
      fromBytes: input.from[stream],
      began: !input.bootstrapped,
      ended: false,
    })
    this.#channels = { stdout: channel("stdout"), stderr: channel("stderr") }
  }

  get began(): boolean {
    return this.#told
  }

  seenBytes(stream: OutputStream): number {
    return this.#channels[stream].seenBytes
  }

  readonly tellBegan: Effect.Effect<void> = Effect.suspend(() => {
    if (this.#told) return Effect.void
    this.#told = true
    this.#onBegan()
    return this.#sink.began
  })

  /** From here on only counts and looks for the end: for a look through the kept log. */
  skip(): void {
    this.#skipping = true
    for (const channel of Object.values(this.#channels)) {
      channel.seenBytes = 0
      channel.filter = new MarkerFilter(this.#nonce)
    }
  }

  /** LI4: after a look through the kept log; what comes now follows directly on what was told. */
  readonly resumeAfterCut: Effect.Effect<void> = Effect.suspend(() => {
    this.#skipping = false
    this.#cut = false
    const tell = (["stdout", "stderr"] as const).map((stream) => {
      const channel = this.#channels[stream]
      channel.seenBytes = channel.fromBytes
      channel.began = true
      channel.filter = new MarkerFilter(this.#nonce)
      return this.#sink.lost(stream, channel.fromBytes, null)
    })
    return Effect.andThen(this.tellBegan, Effect.all(tell, { discard: true }))
  })

  /** Reads until LI5, an incomplete feed, or the stream's end. */
  listen(source: EngineStream): Effect.Effect<Heard> {
    const demultiplexer = new Demultiplexer()
    return Effect.gen({ self: this }, function* () {
      if (!this.#bootstrapped) yield* this.tellBegan
      for (;;) {
        const read = yield* source.next
        if (read.chunk === null) {
          for (const stream of ["stdout", "stderr"] as const)
            for (const piece of this.#channels[stream].filter.flush()) yield* this.#take(stream, piece)
          return { kind: "closed", clean: read.clean && demultiplexer.whole } as const
        }
        for (const part of demultiplexer.push(read.chunk)) {
          const pieces: Piece[] = this.#bootstrapped
            ? this.#channels[part.stream].filter.push(part.bytes)
            : [{ kind: "bytes", bytes: part.bytes }]
          for (const piece of pieces) yield* this.#take(part.stream, piece)
        }
        if (this.#cut && !this.#skipping) return { kind: "cut" } as const
        if (this.#incomplete) return { kind: "incomplete" } as const
        if (this.#end !== null && this.#channels.stdout.ended && this.#channels.stderr.ended)
          return { kind: "ended", end: this.#end } as const
      }
    })
  }

  #take(stream: OutputStream, piece: Piece): Effect.Effect<void> {
    const channel = this.#channels[stream]
    if (piece.kind === "bytes") return this.#write(stream, channel, piece.bytes)
    const [word] = piece.words
    if (word === "begin") {
      channel.began = true
      return this.tellBegan
    }
    if (word === "incomplete") this.#incomplete = true
    const end = parseEnd(piece.words)
    if (end !== null) {
      if (!channel.began) this.#cut = true
      this.#end = end
      channel.ended = true
    }
    return Effect.void
  }

  /** LI2 to LI4. */
  #write(stream: OutputStream, channel: Channel, bytes: Uint8Array): Effect.Effect<void> {
    if (channel.ended || (!channel.began && this.#source === "attached")) return Effect.void
    const offset = channel.seenBytes
    channel.seenBytes += bytes.length
    if (this.#skipping) return Effect.void
    if (!channel.began) {
      this.#cut = true
      return Effect.void
    }
    if (channel.seenBytes <= channel.fromBytes) return Effect.void
    const skip = Math.max(0, channel.fromBytes - offset)
    const fresh = skip === 0 ? bytes : bytes.subarray(skip)
    return Effect.andThen(this.tellBegan, this.#sink.write(stream, offset + skip, fresh))
  }
}
