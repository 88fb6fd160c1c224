/** An engine that only pulls: a real socket, and pulls that go as far as a test lets them. */
import { rmSync } from "node:fs"
import { createServer, type ServerResponse } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"

export interface FakePull {
  readonly image: string
  /** As whom it was asked for; null: as nobody. */
  readonly login: unknown
  /** One line of what the engine says. */
  readonly say: (line: object) => void
  readonly end: () => void
  /** As an engine does that dies. */
  readonly breakOff: () => void
  /** True once whoever asked for it has gone. */
  readonly isLeft: () => boolean
}

export interface FakeRegistry {
  readonly host: string
  readonly pulls: readonly FakePull[]
  /** False: a pull is not even answered. */
  setAnswering: (answering: boolean) => void
  setPinging: (pinging: boolean) => void
  readonly close: () => Promise<void>
}

let registries = 0

export async function openFakeRegistry(): Promise<FakeRegistry> {
  const path = join(tmpdir(), `berth-registry-${process.pid}-${registries++}.sock`)
  const pulls: FakePull[] = []
  let answering = true
  let pinging = true
  const pull = (image: string, login: unknown, response: ServerResponse): void => {
    let isLeft = false
    response.on("close", () => {
      isLeft = !response.writableFinished
    })
    if (answering) response.writeHead(200, { "Content-Type": "application/json" }).flushHeaders()
    pulls.push({
      image,
      login,
      say: (line) => void response.write(`${JSON.stringify(line)}\n`),
      end: () => void response.end(),
      breakOff: () => void response.destroy(),
      isLeft: () => isLeft,
    })
  }
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://engine")
    request.resume()
    if (url.pathname.endsWith("/_ping")) return pinging ? response.end("OK") : undefined
    if (request.method === "GET") return response.writeHead(404).end('{"message":"there is no such thing"}')
    const auth = request.headers["x-registry-auth"]
    const login = auth === undefined ? null : JSON.parse(Buffer.from(String(auth), "base64").toString())
    return pull(`${url.searchParams.get("fromImage")}:${url.searchParams.get("tag")}`, login, response)
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  return {
    host: `unix://${path}`,
    pulls,
    setAnswering: (value) => void (answering = value),
    setPinging: (value) => void (pinging = value),
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      rmSync(path, { force: true })
    },
  }
}
