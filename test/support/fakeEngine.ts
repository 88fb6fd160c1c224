/** An engine that only keeps containers: a real socket, and programs that end when, and how, a test says. */
import { rmSync } from "node:fs"
import { createServer, type ServerResponse } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"

interface FakeContainer {
  status: "created" | "running" | "exited"
  exitCode: number
  readonly waiting: ServerResponse[]
}

export interface FakeEngine {
  readonly host: string
  /** What was asked for so far, e.g. `create NAME`, `start NAME`. */
  readonly asked: readonly string[]
  readonly names: () => readonly string[]
  /** What a start is answered with. Default 204, which starts it. */
  setStart: (status: number) => void
  readonly end: (name: string, exitCode: number) => void
  /** As if somebody removed it by force. */
  readonly vanish: (name: string) => void
  readonly close: () => Promise<void>
}

let engines = 0

export async function openFakeEngine(): Promise<FakeEngine> {
  const path = join(tmpdir(), `berth-engine-${process.pid}-${engines++}.sock`)
  const containers = new Map<string, FakeContainer>()
  const asked: string[] = []
  let startStatus = 204

  const end = (name: string, exitCode: number): void => {
    const container = containers.get(name)
    if (container === undefined) throw new Error(`there is no container ${name}`)
    Object.assign(container, { status: "exited", exitCode })
    for (const answer of container.waiting.splice(0)) answer.end(JSON.stringify({ StatusCode: exitCode }))
  }
  const vanish = (name: string): void => {
    end(name, 137)
    containers.delete(name)
  }

  const answer = (verb: string, name: string, response: ServerResponse): unknown => {
    const say = (status: number, body: object = {}) => response.writeHead(status).end(JSON.stringify(body))
    const container = containers.get(name)
    if (verb === "create") {
      if (container !== undefined) return say(409, { message: "the name is taken" })
      containers.set(name, { status: "created", exitCode: 0, waiting: [] })
      return say(201, { Id: name })
    }
    if (container === undefined) return say(404, { message: "no such container" })
    if (verb === "start") {
      if (startStatus === 204) container.status = "running"
      return startStatus === 204 ? response.writeHead(204).end() : say(startStatus, { message: "it does not start" })
    }
    if (verb === "wait")
      return container.status === "exited" ? end(name, container.exitCode) : container.waiting.push(response)
    if (verb === "remove") return (vanish(name), response.writeHead(204).end())
    return say(200, { Id: name, State: { Status: container.status, ExitCode: container.exitCode } })
  }

  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://engine")
    request.resume()
    response.setHeader("Content-Type", "application/json")
    const [, , id = "", action = ""] = url.pathname.split("/")
    const verb = id === "create" ? id : request.method === "DELETE" ? "remove" : action === "json" ? "inspect" : action
    const name = url.searchParams.get("name") ?? id
    asked.push(`${verb} ${name}`)
    answer(verb, name, response)
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  return {
    host: `unix://${path}`,
    asked,
    names: () => [...containers.keys()],
    setStart: (status) => void (startStatus = status),
    end,
    vanish,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      rmSync(path, { force: true })
    },
  }
}
