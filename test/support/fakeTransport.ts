/** A network of the client that a test plays by hand, and clocks for it. */
import type { SocketEnd, SocketEvents, Transport, TransportTarget } from "../../gateway/client/transport.ts"
import type { Timing } from "../../gateway/client/timing.ts"

/** One socket that the client opened, seen from the other end. */
export interface FakeSocket {
  readonly target: TransportTarget
  /** Frames that the client sent, as JSON. */
  readonly sent: readonly Frame[]
  /** How often the client asked for a sign of life. */
  readonly probes: () => number
  readonly isClosedByClient: () => boolean
  /** Accepted, and ended by neither side. */
  readonly isOpen: () => boolean
  readonly accept: () => void
  readonly alive: () => void
  readonly end: (end?: Partial<SocketEnd>) => void
  readonly push: (frame: unknown) => void
  readonly reply: (frame: Frame, result: unknown) => void
  readonly refuse: (frame: Frame, code: string) => void
  readonly notify: (method: string, params: unknown) => void
}

export interface Frame {
  readonly id: number
  readonly method: string
  readonly params: Readonly<Record<string, unknown>>
}

export interface FakeTransport {
  readonly transport: Transport
  readonly sockets: readonly FakeSocket[]
  readonly last: () => FakeSocket
  /** False: a socket that the client closes ends only when the test says so, as on a wire that is dead. */
  endsOnClose: boolean
}

/** @param onFrame - answers by itself, where a test wants a server and not a script */
export function fakeTransport(
  onFrame: (socket: FakeSocket, frame: Frame) => void = () => {},
  onOpen: (socket: FakeSocket) => void = () => {},
): FakeTransport {
  const sockets: FakeSocket[] = []
  const network: FakeTransport = {
    sockets,
    endsOnClose: true,
    last: () => sockets.at(-1) ?? raise(),
    transport: null as never,
  }
  const transport: Transport = {
    open: (target, events) => {
      const { socket, client } = pair(target, events, onFrame, () => network.endsOnClose)
      sockets.push(socket)
      queueMicrotask(() => onOpen(socket))
      return client
    },
    download: () => Promise.reject(new Error("nothing to download")),
  }
  return Object.assign(network, { transport })
}

const raise = (): never => {
  throw new Error("the client has opened no socket")
}

function pair(
  target: TransportTarget,
  events: SocketEvents,
  onFrame: (socket: FakeSocket, frame: Frame) => void,
  endsOnClose: () => boolean,
) {
  const sent: Frame[] = []
  let probes = 0
  let ended = false
  let closedByClient = false
  let accepted = false
  const push = (frame: unknown) => {
    if (!ended) events.received(JSON.stringify(frame))
  }
  const socket: FakeSocket = {
    target,
    sent,
    probes: () => probes,
    isClosedByClient: () => closedByClient,
    isOpen: () => accepted && !ended && !closedByClient,
    accept: () => {
      accepted = true
      events.opened()
    },
    alive: () => events.alive(),
    end: (end = {}) => {
      if (ended) return
      ended = true
      events.closed({ code: 1006, reason: "", ...end })
    },
    push,
    reply: (frame, result) => push({ jsonrpc: "2.0", id: frame.id, result }),
    refuse: (frame, code) =>
      push({
        jsonrpc: "2.0",
        id: frame.id,
        error: { code: -32000, message: `refused: ${code}`, data: { code, retryable: true, hint: "…", path: null } },
      }),
    notify: (method, params) => push({ jsonrpc: "2.0", method, params }),
  }
  const client = {
    send: (text: string) => {
      if (ended) return
      const frame = JSON.parse(text) as Frame
      sent.push(frame)
      onFrame(socket, frame)
    },
    close: () => {
      closedByClient = true
      if (endsOnClose()) queueMicrotask(() => socket.end({ code: 1000 }))
    },
    probe: () => {
      probes += 1
    },
  }
  return { socket, client }
}

/** Short waits pass at once, long ones never: for tests in which only the order counts. */
export const eagerTiming = (random01: () => number = () => 0.5): Timing => ({
  nowMs: () => 1_750_000_000_000,
  monoMs: () => 0,
  after: (ms, callback) => {
    if (ms > 5_000) return () => {}
    const timer = setImmediate(callback)
    return () => clearImmediate(timer)
  },
  random01,
})
