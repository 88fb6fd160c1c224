import { SUBPROTOCOL, TOKEN_SUBPROTOCOL_PREFIX } from "../protocol/limits.ts"
import { downloadArtifact } from "./artifactDownload.ts"
import type { ClientSocket, SocketEvents, Transport, TransportTarget } from "./transport.ts"

/**
 * The platform's own WebSocket. It cannot set headers, so the token travels as a second subprotocol, which the server
 * never echoes. Why a server refused the upgrade is not told: it looks like any lost connection.
 */
export const browserTransport: Transport = { open: openSocket, download: downloadArtifact }

function openSocket(target: TransportTarget, events: SocketEvents): ClientSocket {
  const socket = new WebSocket(target.url, [SUBPROTOCOL, TOKEN_SUBPROTOCOL_PREFIX + target.token])
  let closed = false
  const close = (code: number, reason: string) => {
    if (closed) return
    closed = true
    events.closed({ code, reason })
  }
  socket.addEventListener("open", () => {
    if (!closed) events.opened()
  })
  socket.addEventListener("message", (message: MessageEvent<unknown>) => {
    if (!closed && typeof message.data === "string") events.received(message.data)
  })
  socket.addEventListener("close", (end) => close(end.code, end.reason))
  return {
    send: (text) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(text)
    },
    close: (code, reason) => {
      socket.close(code, reason)
      // The handshake may take the peer for ever; whoever closed does not wait for it (T4).
      queueMicrotask(() => close(1006, "closed here"))
    },
  }
}
