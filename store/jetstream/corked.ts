/**
 * A connection that writes to its socket once a turn of the event loop. The client itself writes after every few steps of
 * whoever publishes, and a write costs this process more than what is in it.
 *
 *   CK1. All that is sent within one turn of the loop goes out in one write, in the order in which it was sent.
 *   CK2. What was sent before the connection is closed or left is written before that.
 *   CK3. At most `HELD_BYTES_MAX` wait for the end of a turn; what is more goes out at once.
 */
import {
  type ConnectionOptions,
  type NatsConnection,
  NatsConnectionImpl,
  setTransportFactory,
} from "@nats-io/transport-node"
import { NodeTransport, nodeResolveHost } from "@nats-io/transport-node/lib/node_transport.js"

const HELD_BYTES_MAX = 64 * 1024

/** Exported for its test. */
export class CorkedTransport extends NodeTransport {
  #held: Uint8Array[] = []
  #heldBytes = 0

  override send(frame: Uint8Array): void {
    if (this.#held.length === 0) setImmediate(() => this.#write())
    this.#held.push(frame)
    this.#heldBytes += frame.byteLength
    if (this.#heldBytes > HELD_BYTES_MAX) this.#write()
  }

  override close(error?: Error): Promise<void> {
    this.#write()
    return super.close(error)
  }

  override disconnect(): void {
    this.#write()
    super.disconnect()
  }

  #write(): void {
    const frames = this.#held
    if (frames.length === 0) return
    this.#held = []
    this.#heldBytes = 0
    super.send(frames.length === 1 ? (frames[0] as Uint8Array) : Buffer.concat(frames))
  }
}

/** The client's `connect`, over this transport; also wherever the connection is made anew later. */
export function connectCorked(settings: ConnectionOptions): Promise<NatsConnection> {
  setTransportFactory({ factory: () => new CorkedTransport(), dnsResolveFn: nodeResolveHost })
  return NatsConnectionImpl.connect(settings)
}
