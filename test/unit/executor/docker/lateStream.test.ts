/** CL4: is a stream that the engine opens too late, or is asked for by nobody any more, let go of before it can do harm? */
import { createServer, type IncomingMessage } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { Effect, Fiber } from "effect"
import { afterEach, describe, expect, it } from "vitest"
import { type DockerOptions, dockerExecutor } from "../../../../actors/executor/docker/index.ts"
import { deadline } from "../../../../actors/executor/stack/deadline.ts"
import { direct } from "../../../../actors/executor/stack/layer.ts"
import type { BerthError } from "../../../../core/errors.ts"
import { manualClock } from "../../../support/clock.ts"
import { jobOf, recordingSink } from "../../../support/executorJob.ts"
import { programOf } from "../../../support/processRig.ts"
import { noSecrets } from "../../../support/secrets.ts"
import { until } from "../../../support/until.ts"

const UPGRADED = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
const FOLLOWED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
const IMAGE = { Id: "sha256:1", Config: {} }
const CONTAINER = { State: { Status: "running", Running: true, StartedAt: "" }, Config: { OpenStdin: true } }
const INFO = { ID: "e", Runtimes: { runc: {} }, DefaultRuntime: "runc", SecurityOptions: [] }
/** What is answered at once, by the end of the path. */
const ANSWERS: readonly (readonly [RegExp, unknown])[] = [
  [/\/images\/.*\/json$/, IMAGE],
  [/\/containers\/json$/, []],
  [/\/containers\/c\/json$/, CONTAINER],
  [/\/containers\/c\/exec$/, { Id: "x" }],
  [/\/info$/, INFO],
  [/\/version$/, {}],
]

const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0)) close()
})

/** An engine that answers everything but what opens a stream: that is held until the test answers. */
const scene = async () => {
  const held: { readonly path: string; readonly socket: Socket; isLeft: boolean }[] = []
  const hold = ({ url = "", socket }: IncomingMessage) => {
    const one = { path: url, socket, isLeft: false }
    const leave = () => (one.isLeft = true)
    socket
      .on("error", leave)
      .on("end", leave)
      .on("close", leave)
      // What is not read does not end either.
      .resume()
    held.push(one)
  }
  const server = createServer((request, response) => {
    const path = (request.url ?? "").split("?")[0] ?? ""
    const known = ANSWERS.find(([pattern]) => pattern.test(path))
    if (known === undefined) return hold(request)
    return response.writeHead(path.endsWith("exec") ? 201 : 200).end(JSON.stringify(known[1]))
  }).on("upgrade", hold)
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  closers.push(() => {
    server.closeAllConnections()
    for (const { socket } of held) socket.destroy()
    server.close()
  })
  const clock = manualClock()
  const options: Partial<DockerOptions> = {
    engine: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    guard: deadline(clock)(direct),
    clock,
    cluster: "c",
    markerKey: "key",
    pull: false,
    leaseUids: () => Effect.succeed(1),
    secrets: noSecrets,
  }
  return { clock, executor: dockerExecutor(options as DockerOptions), held }
}

const job = jobOf(programOf("", { files: [] }), "t", { artifacts: true })
const place = { containerId: "c", imageDigest: null, policy: null }
const NONE = { stdout: 0, stderr: 0 }

type Executor = Awaited<ReturnType<typeof scene>>["executor"]
const WAYS: readonly (readonly [string, string, (executor: Executor) => Effect.Effect<unknown, BerthError>])[] = [
  ["attach", UPGRADED, (executor) => executor.run(job, place, recordingSink())],
  ["logs", FOLLOWED, (executor) => executor.adopt(job, place, recordingSink(), NONE)],
  ["exec", UPGRADED, (executor) => executor.collect(job, place, () => Effect.never)],
]

describe("a stream that nobody waits for any more", () => {
  it.each(WAYS)("%s, answered after its deadline", async (name, answer, ask) => {
    const { clock, executor, held } = await scene()
    const asking = Effect.runFork(ask(executor))
    await until(() => held.length === 1, "a stream to be asked for")
    const [late] = held as [(typeof held)[0]]
    expect(late.path).toContain(`/${name}`)
    await clock.advance(10_000)
    if (!late.socket.destroyed) late.socket.write(answer)
    await until(() => late.isLeft, "the connection to be left")
    await Effect.runPromise(Fiber.interrupt(asking))
  })
})
