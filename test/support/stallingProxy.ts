/** A wire that a test can hold: a TCP proxy through which, while it is held, nothing passes and nothing is said to be broken. */
import { connect as connectTcp, createServer, type AddressInfo, type Socket } from "node:net"

export interface StallingProxy {
  readonly port: number
  /** While true, what is sent either way waits, and new connections get no further. */
  readonly hold: (held: boolean) => void
  readonly close: () => Promise<void>
}

export async function openStallingProxy(targetPort: number): Promise<StallingProxy> {
  const sockets = new Set<Socket>()
  let held = false
  const set = (socket: Socket): void => void (held ? socket.pause() : socket.resume())
  const proxy = createServer((client) => {
    const server = connectTcp(targetPort, "127.0.0.1")
    const end = (): void => {
      for (const socket of [client, server]) {
        sockets.delete(socket)
        socket.destroy()
      }
    }
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      sockets.add(from)
      from.on("data", (bytes) => void to.write(bytes))
      from.on("error", end).on("close", end)
      set(from)
    }
  })
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve))
  return {
    port: (proxy.address() as AddressInfo).port,
    hold: (isHeld) => {
      held = isHeld
      for (const socket of sockets) set(socket)
    },
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => proxy.close(resolve))
    },
  }
}
