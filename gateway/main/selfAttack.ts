/**
 * Runs hostile programs on an engine, in containers of the very profile that tasks get, and says of each thing that they tried
 * whether it was contained. Nothing else of a server takes part, so that it also runs beside one.
 *
 *   SA1. What cannot be tried counts as not contained: a missing image is a line of its own, never silence.
 *   SA2. Nothing is left: each container is removed, also those of an examination that was cut off.
 */
import { createHash, randomBytes } from "node:crypto"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { hostname, tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import type { Attack, Finding, Seen } from "../../actors/attacks/attack.ts"
import { FLOODS } from "../../actors/attacks/floods.ts"
import { wallsAttack } from "../../actors/attacks/walls.ts"
import { type DockerExecutor, dockerExecutor, type DockerOptions } from "../../actors/executor/docker/index.ts"
import { liveClock } from "../../actors/system/clock.ts"
import { resolveConfig } from "../../core/config.ts"
import { type BerthError, berthError } from "../../core/errors.ts"
import { Clock } from "../../core/ports/clock.ts"
import type { AttemptSink, Job } from "../../core/ports/executor.ts"
import { prepare } from "../../core/task/prepare.ts"
import type { DoctorLine } from "../cli/index.ts"
import { hostUids } from "./hostUids.ts"

const CLUSTER = "berth-doctor"
const STDOUT_BYTES_MAX = 256 * 1024
/** Beyond an attack's own time limit. */
const SLACK_MS = 60_000

export interface SelfAttackOptions {
  readonly engine: string
  /** Changes the profile: for tests that make a hole in it. */
  readonly profile?: DockerOptions["profile"]
  readonly attacks?: readonly Attack[]
}

const jobOf = (attack: Attack, number: number, worker: string, nowMs: number): Job => {
  const config = resolveConfig()
  const requestHash = createHash("sha256").update(attack.name).digest("hex")
  const prepared = prepare(attack.request, { config, laneMax: "normal", handlers: [], nowMs, requestHash })
  return { taskId: `${worker}-${number}`, owner: worker, attempt: 1, epoch: 1, worker, slot: number, ...prepared }
}

/** Keeps the beginning of what is printed. */
const listening = (): { readonly sink: AttemptSink; readonly stdout: () => string } => {
  const parts: Uint8Array[] = []
  let keptBytes = 0
  const sink: AttemptSink = {
    began: Effect.void,
    write: (stream, _offset, bytes) =>
      Effect.sync(() => {
        if (stream !== "stdout" || keptBytes >= STDOUT_BYTES_MAX) return
        parts.push(Uint8Array.from(bytes))
        keptBytes += bytes.length
      }),
    lost: () => Effect.void,
    progress: () => Effect.void,
  }
  return { sink, stdout: () => Buffer.concat(parts).toString() }
}

const watchAttack = (executor: DockerExecutor, job: Job): Effect.Effect<Seen, BerthError> =>
  Effect.acquireUseRelease(
    executor.create(job),
    (place) => {
      const { sink, stdout } = listening()
      return Effect.map(executor.run(job, place, sink), (exit) => ({ ...exit, stdout: stdout() }))
    },
    (place) => Effect.ignore(executor.remove(job, place)),
  ).pipe(
    Effect.timeoutOrElse({
      duration: job.spec.timeoutMs + SLACK_MS,
      orElse: () => Effect.fail(berthError("DEADLINE_EXCEEDED", "it did not end")),
    }),
  )

const HINT = "Do not run programs of others on this engine until this is understood; the sandbox should have held."

const attackLine = ({ broke, name }: Finding): DoctorLine =>
  broke === null
    ? { kind: "attack", name, verdict: "ok", detail: "contained" }
    : { kind: "attack", name, verdict: "fail", detail: broke, hint: HINT }

/** SA1. An image that is missing, or an engine that does not take the profile, is below the floors; no attack has succeeded. */
const untried = ({ name }: Attack, error: BerthError): DoctorLine => ({
  kind: "floor",
  name: `attack: ${name}`,
  verdict: "fail",
  detail: `could not be tried: ${error.message}`,
  hint: error.code === "IMAGE_NOT_FOUND" ? "Get the runtimes python and bash: `npm run provision`." : error.advice,
})

/** Begins every worker's name of this host, so that an examination of another one on the same engine is let alone. */
const HOST = createHash("sha256").update(hostname()).digest("hex").slice(0, 8)
const workerName = (): string => `doctor-${HOST}-${process.pid}-${randomBytes(4).toString("hex")}`

function isAlive(worker: string): boolean {
  const [, host, pid] = worker.split("-")
  if (host !== HOST) return true
  try {
    process.kill(Number(pid), 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"
  }
}

/** SA2. What an examination left whose process is gone. */
const sweep = (executor: DockerExecutor): Effect.Effect<void, BerthError> =>
  Effect.flatMap(executor.places(null), (found) =>
    Effect.forEach(
      found.filter(({ worker }) => !isAlive(worker)),
      ({ containerId }) => executor.remove({ taskId: "", epoch: 0 }, { containerId, imageDigest: null, policy: null }),
      { discard: true },
    ),
  )

/** @returns a line for everything that was tried */
export async function selfAttack(options: SelfAttackOptions): Promise<readonly DoctorLine[]> {
  const clock = Effect.runSync(Effect.provide(Clock, liveClock))
  const worker = workerName()
  const uids = hostUids(worker)
  const executor = dockerExecutor({
    engine: options.engine,
    cluster: CLUSTER,
    worker,
    pool: "doctor",
    secrets: () => Effect.succeed({}),
    markerKey: randomBytes(16).toString("hex"),
    leaseUids: uids.lease,
    guard: (_call, run) => run,
    pullGuard: (_call, run) => run,
    accepting: () => true,
    clock,
    pull: false,
    ...(options.profile === undefined ? {} : { profile: options.profile }),
  })
  const folder = await mkdtemp(join(tmpdir(), "berth-doctor-"))
  const canary = join(folder, "canary")
  try {
    await writeFile(canary, "nobody in a container can read this")
    const attacks = options.attacks ?? [wallsAttack([canary]), ...FLOODS]
    await Effect.runPromise(Effect.ignore(sweep(executor)))
    const lines: DoctorLine[] = []
    for (const [number, attack] of attacks.entries()) {
      const tried = Effect.map(watchAttack(executor, jobOf(attack, number, worker, clock.nowMs())), (seen) =>
        attack.judge(seen).map(attackLine),
      )
      lines.push(...(await Effect.runPromise(Effect.catch(tried, (error) => Effect.succeed([untried(attack, error)])))))
    }
    return lines
  } finally {
    uids.close()
    await rm(folder, { recursive: true, force: true })
  }
}
