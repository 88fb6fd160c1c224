import type { Readable } from "node:stream"
import { Effect } from "effect"
import type { BerthError } from "../../../core/errors.ts"
import type { AttemptSink, Exit } from "../../../core/ports/executor.ts"
import type { OutputStream } from "../../../core/words.ts"
import { CALLS } from "./client.ts"
import type { Context } from "./context.ts"
import { EngineStream } from "./engineStream.ts"
import { type Heard, Listener } from "./listen.ts"
import { nonceOf } from "./names.ts"
import { gone, patiently, settle, type Watch } from "./settle.ts"

/**
 * Follows a container from the log that the engine keeps, as an adopter does, and whoever lost the attached stream.
 *
 *   LG1. The log is read from its beginning and dropped below the given offsets: it has no byte offsets of its own.
 *   LG2. The engine keeps two files of 4 MiB. If the beginning is gone, what was printed since cannot be placed: both
 *        streams say so, and go on with what is printed from then on. Nothing is told twice.
 */

type Offsets = Readonly<Record<OutputStream, number>>
export type Place = Pick<Watch, "job" | "containerId" | "live" | "bootstrapped">

/** Without markers, the only sign of a log that may have lost its beginning is its size. */
const WHOLE_LOG_BYTES_MAX = 3.5 * 1024 * 1024

/** A log is waited for as its container is (ST3), and gone with it. */
const openLog = (ctx: Context, place: Place, input: { readonly follow: boolean; readonly sinceS: string | null }) => {
  // The engine takes a fraction here, which its client's type does not know.
  const since = input.sinceS === null ? {} : { since: input.sinceS as unknown as number }
  const options = { stdout: true, stderr: true, ...since }
  const container = ctx.engine.docker.getContainer(place.containerId)
  const open = async (abortSignal: AbortSignal): Promise<EngineStream> =>
    input.follow
      ? new EngineStream((await container.logs({ ...options, follow: true, abortSignal })) as Readable)
      : EngineStream.of(await container.logs({ ...options, follow: false, abortSignal }))
  const asked = ctx.engine.call<EngineStream | null>(CALLS.logs, open, { 404: () => null, 409: () => null })
  const opened = Effect.acquireRelease(asked, (stream) => Effect.sync(() => stream?.close()))
  return Effect.flatMap(patiently(ctx, opened), (stream) =>
    stream === null ? gone(place.containerId)() : Effect.succeed(stream),
  )
}

/** The engine's clock, as `since` wants it: seconds with a fraction. */
const engineNowS = (ctx: Context): Effect.Effect<string, BerthError> =>
  Effect.map(
    patiently(
      ctx,
      ctx.engine.call(CALLS.info, () => ctx.engine.docker.info() as Promise<{ SystemTime: string }>),
    ),
    ({ SystemTime }) => {
      const fraction = /\.(\d+)/.exec(SystemTime)?.[1] ?? "0"
      return `${Math.floor(Date.parse(SystemTime) / 1_000)}.${fraction.padEnd(9, "0").slice(0, 9)}`
    },
  )

const listenTo = (
  ctx: Context,
  place: Place,
  listener: Listener,
  input: { readonly follow: boolean; readonly sinceS: string | null },
): Effect.Effect<Heard, BerthError> =>
  Effect.scoped(
    Effect.flatMap(openLog(ctx, place, input), (stream) => {
      place.live.close = () => stream.close()
      return listener.listen(stream)
    }),
  )

/** LG2. The clock is read first, so that an end is seen either in the look back or in what follows. */
const afterCut = (ctx: Context, place: Place, listener: Listener): Effect.Effect<Heard, BerthError> =>
  Effect.gen(function* () {
    const sinceS = yield* engineNowS(ctx)
    listener.skip()
    const before = yield* listenTo(ctx, place, listener, { follow: false, sinceS: null })
    yield* listener.resumeAfterCut
    if (before.kind === "ended") return before
    return yield* listenTo(ctx, place, listener, { follow: true, sinceS })
  })

const isShort = (ctx: Context, place: Place, listener: Listener, from: Offsets): Effect.Effect<boolean, BerthError> =>
  Effect.gen(function* () {
    listener.skip()
    yield* listenTo(ctx, place, listener, { follow: false, sinceS: null })
    const [out, err] = [listener.seenBytes("stdout"), listener.seenBytes("stderr")]
    return out < from.stdout || err < from.stderr || out + err >= WHOLE_LOG_BYTES_MAX
  })

/** LG1 and LG2. */
export const followLog = (
  ctx: Context,
  place: Place,
  sink: AttemptSink,
  from: Offsets,
  onBegan: () => void,
): Effect.Effect<{ readonly heard: Heard; readonly listener: Listener }, BerthError> =>
  Effect.gen(function* () {
    const { bootstrapped } = place
    const nonce = nonceOf(ctx.options.markerKey, place.containerId)
    const fresh = () => new Listener({ nonce, sink, onBegan, from, bootstrapped, source: "log" })
    const listener = fresh()
    if (!bootstrapped && (yield* isShort(ctx, place, fresh(), from)))
      return { heard: yield* afterCut(ctx, place, listener), listener }
    const heard = yield* listenTo(ctx, place, listener, { follow: true, sinceS: null })
    return { heard: heard.kind === "cut" ? yield* afterCut(ctx, place, listener) : heard, listener }
  })

const SILENT: AttemptSink = {
  began: Effect.void,
  write: () => Effect.void,
  lost: () => Effect.void,
  progress: () => Effect.void,
}

/** Whether the kept log knows more than was heard. A log without its beginning cannot tell, and counts as knowing no more. */
const logHasMore = (ctx: Context, watch: Watch): Effect.Effect<boolean, BerthError> =>
  Effect.gen(function* () {
    const nonce = nonceOf(ctx.options.markerKey, watch.containerId)
    const input = { nonce, sink: SILENT, onBegan: () => {}, from: { stdout: 0, stderr: 0 } }
    const look = new Listener({ ...input, bootstrapped: watch.bootstrapped, source: "log" })
    const heard = yield* listenTo(ctx, watch, look, { follow: false, sinceS: null })
    const [out, err] = [look.seenBytes("stdout"), look.seenBytes("stderr")]
    if (heard.kind === "cut" || (!watch.bootstrapped && out + err >= WHOLE_LOG_BYTES_MAX)) return false
    const { listener } = watch
    return heard.kind === "ended" || out > listener.seenBytes("stdout") || err > listener.seenBytes("stderr")
  })

/** Goes on from the log where another stream closed, as often as it takes. */
export const relisten = (
  ctx: Context,
  watch: Watch,
  sink: AttemptSink,
  from: Offsets,
): Effect.Effect<Exit, BerthError> =>
  Effect.gen(function* () {
    const again = (next: Watch, heard: Heard) =>
      settle(ctx, next, heard, (other, offsets) => relisten(ctx, other, sink, offsets))
    if (watch.unbroken && !(yield* logHasMore(ctx, watch)))
      return yield* again({ ...watch, source: "log" }, { kind: "closed", clean: true })
    const quiet = watch.listener.began ? { ...sink, began: Effect.void } : sink
    const { heard, listener } = yield* followLog(ctx, watch, quiet, from, watch.onBegan)
    return yield* again({ ...watch, listener, source: "log" }, heard)
  })
