/**
 * A WebSocket as a session's link, and the watch over whether its other end still lives: a ping every `pingEveryMs`, and
 * after `silenceMsMax` without a sign it is cut off, so that a half-open connection holds nothing.
 */
import type { RawData, WebSocket } from "ws"
import { CLOSE_CODES, type CloseCode } from "../protocol/limits.ts"
import type { Identity } from "./auth.ts"
import type { Link } from "./outbox.ts"
import { Session, type SessionOptions } from "./session.ts"

/** How long a client may take to answer our close frame before the socket is cut. */
const CLOSE_ANSWER_MS = 2_000
/** A slow reader has megabytes to read before it comes to our close frame. */
const SLOW_CLOSE_ANSWER_MS = 20_000

/** Why a socket is not read just now. It is read again when no reason is left. */
type Pause = "unsent" | "long"

function readingOf(socket: WebSocket) {
  const pauses = new Set<Pause>()
  return {
    pause: (why: Pause): void => {
      pauses.add(why)
      socket.pause()
    },
    resume: (why: Pause): void => {
      if (pauses.delete(why) && pauses.size === 0) socket.resume()
    },
  }
}

function linkOf(socket: WebSocket, reading: ReturnType<typeof readingOf>, close: Link["close"]): Link {
  return {
    send: (text, taken) => {
      // Taken or failed: a failure is followed by `close`, which ends the session.
      if (socket.readyState === socket.OPEN) socket.send(text, taken)
    },
    unsentBytes: () => socket.bufferedAmount,
    pause: () => reading.pause("unsent"),
    resume: () => reading.resume("unsent"),
    close,
  }
}

const textOf = (data: RawData): string =>
  Buffer.isBuffer(data)
    ? data.toString("utf8")
    : Array.isArray(data)
      ? Buffer.concat(data).toString("utf8")
      : Buffer.from(data).toString("utf8")

/** Serves one accepted socket until it closes. The answer closes it from our side. */
export function serveSocket(socket: WebSocket, identity: Identity, options: SessionOptions): Link["close"] {
  const { clock, limits, metrics, logger } = options
  const { owner } = identity.principal
  let heardMonoMs = clock.monoMs()
  let disarmCut: () => void = () => undefined

  const close = (code: CloseCode, reason: string): void => {
    if (socket.readyState !== socket.OPEN) return
    logger.debug({ owner, code, reason }, "closing a connection")
    // Whoever does not read will not read our close frame either.
    socket.resume()
    socket.close(code, reason)
    disarmCut = clock.after(code === CLOSE_CODES.tryAgainLater ? SLOW_CLOSE_ANSWER_MS : CLOSE_ANSWER_MS, () =>
      socket.terminate(),
    )
  }
  const reading = readingOf(socket)
  const session = new Session(linkOf(socket, reading, close), identity, options)
  const heard = (): void => {
    heardMonoMs = clock.monoMs()
  }
  let disarmPing: () => void = () => undefined
  const ping = (): void => {
    if (clock.monoMs() - heardMonoMs >= limits.silenceMsMax) {
      logger.info({ owner }, "cut off a connection of which nothing was heard")
      socket.terminate()
      return
    }
    socket.ping()
    disarmPing = clock.after(limits.pingEveryMs, ping)
  }
  disarmPing = clock.after(limits.pingEveryMs, ping)

  metrics.connections(1)
  socket.on("pong", heard)
  socket.on("ping", heard)
  socket.on("message", (data, isBinary) => {
    heard()
    if (isBinary) session.receiveBinary()
    else {
      const text = textOf(data)
      session.receive(text)
      if (text.length <= limits.messageBytesCounted) return
      reading.pause("long")
      setImmediate(() => reading.resume("long"))
    }
  })
  // `ws` closes by itself with 1009, 1008, 1007 or 1002 and tells here why.
  socket.on("error", (error) => logger.info({ owner, err: error }, "a connection broke the protocol"))
  socket.on("close", (code) => {
    disarmPing()
    disarmCut()
    session.closed()
    metrics.connections(-1)
    metrics.closed(code)
  })
  return close
}
