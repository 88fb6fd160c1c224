/** What breaks the framing of a socket, sent below or beside the library's own checks. */
import type { WebSocket } from "ws"
import type { RawClient } from "../door.ts"

const FRAGMENTS_SENT_MAX = 1_000_000

/** A message of so many bytes that is an empty object. */
export const padded = (bytes: number): string => `{${" ".repeat(bytes - 2)}}`

/** One message in so many fragments, with the id `parts`. */
export function sendInParts(socket: WebSocket, count: number): void {
  const parts = ['{"id":"parts"', ...Array.from({ length: count - 2 }, () => " "), "}"]
  for (const [at, data] of parts.entries()) socket.send(data, { fin: at === count - 1 })
}

/** Fragments of one message that never ends, until the other side has had enough. Answers how many were sent. */
export async function sendFragmentsForEver({ closed, socket }: RawClient): Promise<number> {
  let isOpen = true
  void closed.then(() => (isOpen = false))
  let sent = 0
  while (sent < FRAGMENTS_SENT_MAX && isOpen) {
    for (let at = 0; at < 100; at++, sent++) socket.send("x", { fin: false })
    await new Promise((resolve) => setImmediate(resolve))
  }
  return sent
}

export const sendBrokenUtf8 = (socket: WebSocket): void => socket.send(Buffer.from([0xff, 0xfe]), { binary: false })

/** A frame with reserved bits set, past the library. */
export function sendReservedBits(socket: WebSocket): void {
  const { _socket: tcp } = socket as unknown as { _socket: { write: (bytes: Uint8Array) => void } }
  tcp.write(new Uint8Array([0xf1, 0x80, 0, 0, 0, 0]))
}
