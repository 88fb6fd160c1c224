/**
 * What the client needs from a network: one ordered, two-way channel of text frames, and a way to fetch a file.
 * Node, browser and in-process adapters promise the same:
 *
 *   T1. `closed` is called exactly once per socket, and nothing after it.
 *   T2. `opened` comes before the first `received`; a socket that never opens goes straight to `closed`.
 *   T3. Frames arrive whole, in the order in which they were sent, or not at all.
 *   T4. After `close()` the socket calls `closed` promptly, whether or not the peer answers.
 *   T5. `send` never throws; on a socket that is not open it does nothing.
 *   T6. No event is called before `open` has returned.
 *
 * A frame that was sent is not thereby received: whoever needs certainty waits for the reply.
 */

/** Where to connect to, and as whom. */
export interface TransportTarget {
  readonly url: string
  readonly token: string
}

/** Why a socket ended. */
export interface SocketEnd {
  /** Close code of RFC 6455, or 1006 when there was no closing handshake. */
  readonly code: number
  readonly reason: string
  /** Status of the HTTP answer when the server refused to upgrade and the platform tells. */
  readonly httpStatus?: number
}

export interface SocketEvents {
  readonly opened: () => void
  readonly received: (text: string) => void
  /** The peer gave a sign of life that is not a frame, such as a ping. */
  readonly alive: () => void
  readonly closed: (end: SocketEnd) => void
}

export interface ClientSocket {
  readonly send: (text: string) => void
  readonly close: (code: number, reason: string) => void
  /** Asks the peer for a sign of life; absent where the platform has no ping. */
  readonly probe?: () => void
}

export interface Transport {
  readonly open: (target: TransportTarget, events: SocketEvents) => ClientSocket
  /** Fetches one artifact whole. Rejects with a BerthError. */
  readonly download: (
    target: TransportTarget,
    taskId: string,
    path: string,
    signal: AbortSignal | undefined,
  ) => Promise<Uint8Array>
}
