import { WebSocket } from "ws"
import { DOOR, SUBPROTOCOL } from "../protocol/limits.ts"
import { downloadArtifact } from "./artifactDownload.ts"
import type { ClientSocket, SocketEnd, SocketEvents, Transport, TransportTarget } from "./transport.ts"

/** A peer that does not answer the closing handshake by then is cut off (T4). */
const CLOSE_MS_MAX = 1_000

/** WebSocket through `ws`, with the token in the Authorization header. */
export const nodeTransport: Transport = { open: openSocket, download: downloadArtifact }

function openSocket(target: TransportTarget, events: SocketEvents): ClientSocket {
  const socket = new WebSocket(target.url, SUBPROTOCOL, {
    headers: { authorization: `Bearer ${target.token}` },
    perMessageDeflate: false,
    followRedirects: false,
    // Answers may be larger than requests: a page of tasks, each with its result.
    maxPayload: 64 * DOOR.frameBytesMax,
  })
  let end: SocketEnd | null = null
  socket.on("open", events.opened)
  socket.on("message", (data, isBinary) => {
    // The default of ws is to give each message as one Buffer.
    if (!isBinary) events.received((data as Buffer).toString())
  })
  socket.on("ping", events.alive)
  socket.on("pong", events.alive)
  socket.on("unexpected-response", (_request, response) => {
    end = { code: 1006, reason: response.statusMessage ?? "", ...status(response.statusCode) }
    response.resume()
    socket.terminate()
  })
  socket.on("error", (cause) => {
    end ??= { code: 1006, reason: cause.message }
  })
  socket.on("close", (code, reason) => events.closed(end ?? { code, reason: reason.toString() }))
  return {
    send: (text) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(text)
    },
    close: (code, reason) => {
      socket.close(code, reason)
      setTimeout(() => socket.terminate(), CLOSE_MS_MAX).unref()
    },
    probe: () => {
      if (socket.readyState === WebSocket.OPEN) socket.ping()
    },
  }
}

const status = (code: number | undefined) => (code === undefined ? {} : { httpStatus: code })
