/** One container that a Docker executor runs, in an engine of our own: its program is fed, never begins, and is stopped or killed. */
import { createServer } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { Effect } from "effect"
import { onTestFinished } from "vitest"
import { type DockerOptions, dockerExecutor } from "../../actors/executor/docker/index.ts"
import { direct } from "../../actors/executor/stack/layer.ts"
import { manualClock } from "./clock.ts"
import { jobOf, recordingSink } from "./executorJob.ts"
import { programOf } from "./processRig.ts"
import { noSecrets } from "./secrets.ts"
import { until } from "./until.ts"

const UPGRADED = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
const INFO = { ID: "e", Runtimes: { runc: {} }, DefaultRuntime: "runc", SecurityOptions: [] }
const RUNNING = { Status: "running", Running: true, ExitCode: 0 }
export const KILLED = { Status: "exited", Running: false, ExitCode: 137 }

export const FED_JOB = jobOf(programOf("", { files: [] }), "t")
export const FED_PLACE = { containerId: "c", imageDigest: null, policy: null }

/** It ends with the test that opened it. */
export const openFakeContainer = async (more: Partial<DockerOptions> = {}) => {
  let isAway = false
  let state = RUNNING
  const asked: string[] = []
  const attached: Socket[] = []
  const answerTo = (what: string): readonly [status: number, body: unknown] => {
    if (isAway) return [500, { message: "away" }]
    if (what === "json") return [200, { Config: { OpenStdin: true }, State: { Error: "", StartedAt: "", ...state } }]
    if (what === "exec") return [201, { Id: "x" }]
    if (what === "kill") setState(KILLED)
    return [what === "logs" ? 200 : 204, null]
  }
  const server = createServer((request, response) => {
    const path = (request.url ?? "").split("?")[0] ?? ""
    request.resume()
    const what = /\/containers\/c\/(\w+)$/.exec(path)?.[1]
    if (what === undefined) {
      const body = path.endsWith("/info") ? INFO : path.includes("/images/") ? { Id: "sha256:1", Config: {} } : []
      return response.writeHead(200).end(JSON.stringify(body))
    }
    asked.push(what)
    // The log of a program that runs and says nothing.
    if (what === "logs" && state.Running) return response.writeHead(200).flushHeaders()
    const [status, body] = answerTo(what)
    return response.writeHead(status).end(body === null ? "" : JSON.stringify(body))
  }).on("upgrade", (_request, socket: Socket) => {
    socket.on("error", () => {}).resume()
    socket.write(UPGRADED)
    attached.push(socket)
  })
  const setState = (next: typeof RUNNING): void => {
    state = next
    if (!next.Running) for (const socket of attached) socket.end()
  }
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    for (const socket of attached) socket.destroy()
    server.close()
  })
  const clock = manualClock()
  const options: Partial<DockerOptions> = {
    engine: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    guard: direct,
    clock,
    cluster: "c",
    markerKey: "key",
    pull: false,
    leaseUids: () => Effect.succeed(1),
    secrets: noSecrets,
    ...more,
  }
  const executor = dockerExecutor(options as DockerOptions)
  const running = Effect.runFork(executor.run(FED_JOB, FED_PLACE, recordingSink()))
  await until(() => asked.includes("start"), "a start")
  await clock.untilArmed(1)
  return { asked, attached, clock, executor, running, setAway: (away: boolean) => void (isAway = away), setState }
}
