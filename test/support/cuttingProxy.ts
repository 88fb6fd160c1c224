/** A wire that a test can cut: a TCP proxy in front of a server. */
import { connect as connectTcp, createServer, type AddressInfo, type Socket } from "node:net"

export interface CuttingProxy {
  readonly url: string
  /** Cuts every connection that passes through. */
  readonly cut: () => void
  /** Cuts a connection as soon as its server next says something, and swallows what it says. */
  readonly swallowNextAnswer: () => void
  /** Cuts every connection after so many more bytes from the server. */
  readonly cutAfterBytes: (bytes: number) => void
  readonly connections: () => number
  readonly close: () => Promise<void>
}

export async function openCuttingProxy(target: string): Promise<CuttingProxy> {
  const { hostname, port } = new URL(target)
  const pairs = new Set<readonly [Socket, Socket]>()
  let connections = 0
  let swallows = false
  let bytesLeft = Number.POSITIVE_INFINITY
  const cut = () => {
    for (const [client, server] of pairs) {
      client.destroy()
      server.destroy()
    }
    pairs.clear()
  }
  const proxy = createServer((client) => {
    connections += 1
    const server = connectTcp(Number(port), hostname)
    const pair = [client, server] as const
    pairs.add(pair)
    const end = () => {
      pairs.delete(pair)
      client.destroy()
      server.destroy()
    }
    for (const socket of pair) socket.on("error", end).on("close", end)
    client.on("data", (bytes) => server.write(bytes))
    server.on("data", (bytes) => {
      if (swallows) {
        swallows = false
        cut()
        return
      }
      bytesLeft -= bytes.length
      client.write(bytesLeft < 0 ? bytes.subarray(0, bytes.length + bytesLeft) : bytes)
      if (bytesLeft <= 0) {
        bytesLeft = Number.POSITIVE_INFINITY
        // What was written before the cut still arrives.
        client.end(cut)
      }
    })
  })
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve))
  return {
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    cut,
    swallowNextAnswer: () => {
      swallows = true
    },
    cutAfterBytes: (bytes) => {
      bytesLeft = bytes
    },
    connections: () => connections,
    close: async () => {
      cut()
      await new Promise((resolve) => proxy.close(resolve))
    },
  }
}
