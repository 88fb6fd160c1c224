import type { Transport } from "./transport.ts"

/** A server in the same process, as the client sees it: text in, text out. Both sides still serialize. */
export interface LoopbackServer {
  /**
   * Begins a session.
   * @param deliver - called with every frame for the client, in order
   * @param closed - called at most once, when the server ends the session
   */
  readonly connect: (
    deliver: (text: string) => void,
    closed: (code: number, reason: string) => void,
  ) => { readonly receive: (text: string) => void; readonly close: () => void }
  readonly artifact: (taskId: string, path: string) => Promise<Uint8Array>
}

/** The transport of an embedded server: no network, no token, no limits of the door. */
export const loopbackTransport = (server: LoopbackServer): Transport => ({
  open: (_target, events) => {
    let isOpen = false
    let isClosed = false
    const end = (code: number, reason: string) => {
      if (isClosed) return
      isClosed = true
      events.closed({ code, reason })
    }
    const session = server.connect(
      (text) => {
        if (isOpen && !isClosed) events.received(text)
      },
      (code, reason) => queueMicrotask(() => end(code, reason)),
    )
    // Not before `open` has returned (T6).
    queueMicrotask(() => {
      if (isClosed) return
      isOpen = true
      events.opened()
    })
    return {
      send: (text) => {
        if (isOpen && !isClosed) session.receive(text)
      },
      close: () => {
        session.close()
        queueMicrotask(() => end(1000, ""))
      },
      // The same process is alive as long as we are.
      probe: () => events.alive(),
    }
  },
  download: (_target, taskId, path, signal) => {
    signal?.throwIfAborted()
    return server.artifact(taskId, path)
  },
})
