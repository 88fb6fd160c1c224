import { WebSocket } from "ws"
import { DOOR, SUBPROTOCOL } from "../protocol/limits.ts"
import { downloadArtifact } from "./artifactDownload.ts"
import type { ClientSocket, SocketEnd, SocketEvents, Transport, TransportTarget } from "./transport.ts"

/** A peer that does not answer the closing handshake by then is cut off (T4). */
const CLOSE_MS_MAX = 1_000
/** Far more than a server says when it refuses. */
const REFUSAL_CHARS_MAX = 8_192

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
    let body = ""
    response.setEncoding("utf8")
    response.on("data", (part: string) => {
      body += part
      if (body.length > REFUSAL_CHARS_MAX) response.destroy()
    })
    response.on("error", () => {})
    response.once("close", () => {
      const reason = refusalIn(body) ?? response.statusMessage ?? ""
      end = { code: 1006, reason, ...status(response.statusCode) }
      socket.terminate()
    })
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

/** What a server of ours says in words, and what to do; null where the answer is somebody else's. */
function refusalIn(body: string): string | null {
  try {
    const { hint, message } = (JSON.parse(body) as { readonly error: { message?: unknown; hint?: unknown } }).error
    return typeof message === "string" ? `${message}. ${typeof hint === "string" ? hint : ""}`.trim() : null
  } catch {
    return null
  }
}
