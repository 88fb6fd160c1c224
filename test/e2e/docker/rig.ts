import { createHash, randomBytes } from "node:crypto"
import type Docker from "dockerode"
import { Effect, Fiber } from "effect"
import { expect } from "vitest"
import { type DockerExecutor, type DockerOptions, dockerExecutor } from "../../../actors/executor/docker/index.ts"
import { connectEngine } from "../../../actors/executor/docker/client.ts"
import type { BerthError } from "../../../core/errors.ts"
import type { Exit, Job, Placement } from "../../../core/ports/executor.ts"
import type { Program, ProgramFile, TaskSpec } from "../../../core/task/spec.ts"
import type { FoundEngine } from "../../../gateway/provision/engine.ts"
import { liveClock } from "../../support/clock.ts"
import { noSecrets } from "../../support/secrets.ts"
import { jobOf, type RecordingSink, recordingSink } from "../../support/executorJob.ts"

type ContainerProgram = Exclude<Program, { kind: "handler" }>

/** One attempt, from create to remove, and all that was seen of it. */
export interface Seen {
  readonly exit: Exit
  readonly out: string
  readonly err: string
  readonly sink: RecordingSink
}

export interface Started {
  readonly job: Job
  readonly place: Placement
  readonly sink: RecordingSink
  readonly exit: Promise<Exit>
  readonly interrupt: () => Promise<unknown>
}

export const file = (path: string, content: string, executable = false): ProgramFile => ({
  path,
  content,
  encoding: "utf8",
  executable,
})

const input = { args: [], env: {}, stdin: null, files: [], secrets: [] }

export const runtimeProgram = (
  runtime: string,
  entry: string,
  text: string,
  more: Partial<ContainerProgram> = {},
): Program =>
  ({ ...input, kind: "runtime", runtime, entry, ...more, files: [file(entry, text), ...(more.files ?? [])] }) as Program

export const python = (text: string, more: Partial<ContainerProgram> = {}): Program =>
  runtimeProgram("python", "main.py", text, more)

export const bash = (text: string, more: Partial<ContainerProgram> = {}): Program =>
  runtimeProgram("bash", "main.sh", text, more)

export const imageProgram = (
  image: string,
  command: readonly string[],
  more: Partial<ContainerProgram> = {},
): Program => ({ ...input, kind: "image", image, command, ...more }) as Program

let tasks = 0

/** An executor of a cluster of its own, so that tests beside each other do not see each other's containers. */
export class Rig {
  readonly cluster = `test-${randomBytes(6).toString("hex")}`
  readonly docker: Docker
  readonly options: DockerOptions
  readonly executor: DockerExecutor

  constructor(engine: FoundEngine, more: Partial<DockerOptions> = {}) {
    this.docker = connectEngine(engine.host)
    this.options = {
      engine: engine.host,
      cluster: this.cluster,
      worker: "w",
      pool: "default",
      markerKey: "key of the tests",
      leaseUids: () => Effect.succeed(7),
      guard: (_call, run) => run,
      pullGuard: (_call, run) => run,
      accepting: () => true,
      clock: liveClock,
      pull: false,
      secrets: noSecrets,
      ...more,
    }
    this.executor = dockerExecutor(this.options)
  }

  /** A second process on the same machine: knows the key, and nothing that the first one held in memory. */
  successor(): DockerExecutor {
    return dockerExecutor(this.options)
  }

  job(program: Program, spec: Partial<TaskSpec> = {}, more: Partial<Job> = {}): Job {
    tasks += 1
    return { ...jobOf(program, `${this.cluster}-${tasks}`, spec), ...more }
  }

  create(job: Job): Promise<Placement> {
    return Effect.runPromise(this.executor.create(job))
  }

  /** Created and running; nothing of the program need have happened yet. */
  async start(program: Program, spec: Partial<TaskSpec> = {}, more: Partial<Job> = {}): Promise<Started> {
    const job = this.job(program, spec, more)
    const place = await this.create(job)
    const sink = recordingSink()
    const fiber = Effect.runFork(this.executor.run(job, place, sink))
    const exit = Effect.runPromise(Fiber.join(fiber))
    // A test that interrupts the run does not look at its end.
    exit.catch(() => undefined)
    return { job, place, sink, exit, interrupt: () => Effect.runPromise(Fiber.interrupt(fiber)) }
  }

  async run(program: Program, spec: Partial<TaskSpec> = {}): Promise<Seen> {
    const started = await this.start(program, spec)
    try {
      const exit = await started.exit
      return { exit, out: started.sink.text("stdout"), err: started.sink.text("stderr"), sink: started.sink }
    } finally {
      await this.remove(started)
    }
  }

  remove({ job, place }: Pick<Started, "job" | "place">): Promise<void> {
    return Effect.runPromise(this.executor.remove(job, place))
  }

  collect({ job, place }: Pick<Started, "job" | "place">, executor = this.executor) {
    const kept = new Map<string, Buffer>()
    const keep = (path: string, bytes: Uint8Array) =>
      Effect.sync(() => {
        kept.set(path, Buffer.from(bytes))
        const sha256 = createHash("sha256").update(bytes).digest("hex")
        return { path, sizeBytes: bytes.length, sha256, blobKey: path }
      })
    return Effect.runPromise(Effect.map(executor.collect(job, place, keep), (result) => ({ ...result, kept })))
  }

  /** Every container of this rig's cluster that the engine has. */
  async left(): Promise<readonly string[]> {
    const found = await this.docker.listContainers({
      all: true,
      filters: { label: [`berth.cluster=${this.cluster}`] },
    })
    return found.map((container) => container.Id)
  }

  async removeAll(): Promise<void> {
    for (const id of await this.left()) await this.docker.getContainer(id).remove({ force: true, v: true })
  }
}

/** The error that an effect fails with. */
export const failureOf = async <A>(effect: Effect.Effect<A, BerthError>): Promise<BerthError> => {
  const failure = await Effect.runPromise(Effect.flip(effect))
  expect(failure._tag).toBe("BerthError")
  return failure
}
