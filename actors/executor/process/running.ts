/**
 * One program on this host, as this server sees it: started here, or adopted from a predecessor.
 *
 *   made ──run──▶ fed ─▶ spawned ─▶ followed ─▶ drained ─▶ Exit
 *     └──adopt──────────────────────▶ ┘
 *
 *   PR1. A stop that comes before the program is spawned, or before its keeper is known, is obeyed as soon as it can be.
 *   PR2. The end is told after all that the program had written by then is with the sink.
 *   PR3. A program that writes much faster than the sink takes is held (SIGSTOP) until the sink has caught up.
 *   PR4. Nothing here ends the program when its run is interrupted or this process goes away.
 *   PR5. A process number that was read is signalled only while it belongs to the very process that wrote it.
 */
import type { ChildProcess } from "node:child_process"
import { stat } from "node:fs/promises"
import { join } from "node:path"
import { Effect } from "effect"
import { type BerthError, berthError } from "../../../core/errors.ts"
import type { Clock } from "../../../core/ports/clock.ts"
import type { AttemptSink, Exit, Job, StopMode } from "../../../core/ports/executor.ts"
import type { OutputStream } from "../../../core/words.ts"
import { type BoxPaths, feedBox, onDisk, readControl } from "./box.ts"
import { type HostCommand, hostCommand } from "./command.ts"
import { exitOf } from "./exit.ts"
import { Follower } from "./follow.ts"
import { type KeeperIdentity, parseIdentity, parseReport, spawnKeeper } from "./keeper.ts"
import { isAlive, signalGroup } from "./signals.ts"

/** Between two looks at a program that writes nothing; it grows from the first to the second. */
const IDLE_MS_MIN = 4
const IDLE_MS_MAX = 50
/** PR3: unread bytes at which a program is held, and at which it goes on. */
const HOLD_BYTES = 64 * 1024 * 1024
const RELEASE_BYTES = 16 * 1024 * 1024
const HOLD_LOOK_MS = 100
const CHUNKS_PER_TURN = 16

export class RunningProgram {
  readonly #paths: BoxPaths
  readonly #clock: Clock["Service"]
  #keeper: KeeperIdentity | null = null
  #child: ChildProcess | null = null
  #stop: StopMode | null = null
  #graceMs = 0
  #cancelKill: () => void = () => undefined
  #isPaused = false
  #isHeld = false
  #isEnded = false
  #beganMonoMs: number | null = null
  #wallMs: number | null = null
  #wake: () => void = () => undefined

  constructor(paths: BoxPaths, clock: Clock["Service"]) {
    this.#paths = paths
    this.#clock = clock
  }

  /** @param host - where interpreters are, and the secrets that the program names */
  run(
    job: Job,
    sink: AttemptSink,
    { path, secrets }: { readonly path: string; readonly secrets: Readonly<Record<string, string>> },
  ): Effect.Effect<Exit, BerthError> {
    return Effect.gen({ self: this }, function* () {
      const program = job.program
      if (program.kind !== "runtime")
        return yield* Effect.die(new Error(`the process executor was given a ${program.kind} task`))
      const command = yield* Effect.try({
        try: () => hostCommand(program, this.#paths.box, path),
        catch: (cause) => cause as BerthError,
      })
      yield* feedBox(this.#paths, program)
      if (this.#stop !== null) return notBegun(this.#stop)
      yield* this.#spawn(job, { ...command, env: { ...command.env, ...secrets } })
      yield* sink.began
      return yield* this.#followed(sink, { stdout: 0, stderr: 0 })
    })
  }

  adopt(sink: AttemptSink, offsets: Readonly<Record<OutputStream, number>>): Effect.Effect<Exit, BerthError> {
    return Effect.gen({ self: this }, function* () {
      const keeper = yield* this.load()
      if (keeper === null) return yield* Effect.fail(lost("the program was never started, or its directory is gone"))
      // A predecessor may have held or paused it.
      if (!this.#isPaused && !this.#isEnded) signalGroup(keeper.pid, "SIGCONT")
      if (this.#stop !== null && !this.#isEnded) this.#sendStop(keeper.pid)
      yield* sink.began
      return yield* this.#followed(sink, offsets)
    })
  }

  /** Reads who the keeper is, and whether it is still that process (PR5); null when there is none. */
  load(): Effect.Effect<KeeperIdentity | null, BerthError> {
    return Effect.suspend(() => {
      if (this.#keeper !== null) return Effect.succeed(this.#keeper)
      return onDisk(async () => {
        const keeper = parseIdentity(await readControl(this.#paths, "keeper"))
        if (keeper !== null && !(await isAlive(keeper))) this.#ended()
        this.#keeper ??= keeper
        return this.#keeper
      })
    })
  }

  /** Idempotent; a kill replaces a gentler stop. */
  stop(mode: StopMode, graceMs: number): void {
    if (this.#isEnded || (this.#stop !== null && mode !== "kill")) return
    this.#stop = mode
    this.#graceMs = graceMs
    if (this.#keeper !== null) this.#sendStop(this.#keeper.pid)
  }

  #sendStop(pid: number): void {
    this.#cancelKill()
    if (this.#stop === "kill") return void signalGroup(pid, "SIGKILL")
    signalGroup(pid, "SIGTERM")
    // One that is paused for the fence stays so; its SIGTERM waits for it.
    if (this.#isHeld && !this.#isPaused) this.#release(pid)
    this.#cancelKill = this.#clock.after(this.#graceMs, () => signalGroup(pid, "SIGKILL"))
  }

  pause(isPaused: boolean): void {
    this.#isPaused = isPaused
    if (this.#keeper === null || this.#isEnded) return
    if (isPaused) signalGroup(this.#keeper.pid, "SIGSTOP")
    else if (!this.#isHeld) signalGroup(this.#keeper.pid, "SIGCONT")
  }

  /** Lets go: what was held goes on, and no timer of ours touches it any more. */
  detach(): void {
    this.#cancelKill()
    if (this.#isHeld && !this.#isPaused && this.#keeper !== null) this.#release(this.#keeper.pid)
  }

  /** Ends the whole group at once. */
  end(): Effect.Effect<void, BerthError> {
    return Effect.flatMap(this.load(), (keeper) =>
      onDisk(async () => {
        this.#cancelKill()
        if (keeper !== null && !this.#isEnded && (await isAlive(keeper))) signalGroup(keeper.pid, "SIGKILL")
      }),
    )
  }

  #spawn(job: Job, command: HostCommand): Effect.Effect<void, BerthError> {
    return Effect.callback<void, BerthError>((resume) => {
      try {
        const child = spawnKeeper(this.#paths, command, job.spec)
        child.once("error", (cause) => resume(Effect.fail(spawnError(cause))))
        child.once("exit", () => this.#exited(child))
        child.once("spawn", () => {
          this.#spawned(child)
          resume(Effect.void)
        })
      } catch (cause) {
        resume(Effect.fail(spawnError(cause)))
      }
    })
  }

  #spawned(child: ChildProcess): void {
    child.unref()
    this.#child = child
    this.#beganMonoMs = this.#clock.monoMs()
    this.#keeper = { pid: child.pid ?? 0, startTicks: null }
    if (this.#isPaused) signalGroup(this.#keeper.pid, "SIGSTOP")
    if (this.#stop !== null) this.#sendStop(this.#keeper.pid)
  }

  #exited(child: ChildProcess): void {
    this.#ended()
    if (this.#beganMonoMs !== null) this.#wallMs = this.#clock.monoMs() - this.#beganMonoMs
    // The keeper ends its group itself (KP5), unless it was killed alone.
    if (child.pid !== undefined) signalGroup(child.pid, "SIGKILL")
    this.#wake()
  }

  #ended(): void {
    this.#isEnded = true
    this.#cancelKill()
  }

  #followed(sink: AttemptSink, offsets: Readonly<Record<OutputStream, number>>): Effect.Effect<Exit, BerthError> {
    const opened = (stream: OutputStream) => Follower.open(stream, this.#paths, offsets[stream], sink)
    const closed = (followers: readonly Follower[]) =>
      Effect.forEach(followers, (one) => one.close(), { discard: true })
    return Effect.acquireUseRelease(
      Effect.all([opened("stdout"), opened("stderr")]),
      (followers) => Effect.raceFirst(this.#drained(followers, sink), this.#watchBacklog(followers)),
      closed,
    ).pipe(Effect.andThen(Effect.suspend(() => this.#verdict())))
  }

  #drained(followers: readonly Follower[], sink: AttemptSink): Effect.Effect<void, BerthError> {
    return Effect.gen({ self: this }, function* () {
      let idleMs = IDLE_MS_MIN
      while (!(yield* this.#hasEnded())) {
        let movedBytes = 0
        for (const follower of followers) {
          for (let chunk = 0; chunk < CHUNKS_PER_TURN; chunk++) {
            const bytes = yield* follower.pump(sink)
            movedBytes += bytes
            if (bytes === 0) break
          }
        }
        idleMs = movedBytes > 0 ? IDLE_MS_MIN : Math.min(idleMs * 2, IDLE_MS_MAX)
        if (movedBytes === 0) yield* this.#idle(idleMs)
      }
      // PR2; and not more than that: a process that left the group may write for ever.
      for (const follower of followers) {
        let leftBytes = yield* follower.backlogBytes
        for (let bytes = 1; leftBytes > 0 && bytes > 0; leftBytes -= bytes) bytes = yield* follower.pump(sink)
      }
    })
  }

  #hasEnded(): Effect.Effect<boolean, BerthError> {
    return Effect.suspend(() => {
      const keeper = this.#keeper
      if (this.#isEnded || keeper === null) return Effect.succeed(true)
      if (this.#child !== null) return Effect.succeed(false)
      return onDisk(async () => {
        if (!(await isAlive(keeper))) this.#ended()
        return this.#isEnded
      })
    })
  }

  #idle(ms: number): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      const cancel = this.#clock.after(ms, () => resume(Effect.void))
      this.#wake = () => resume(Effect.void)
      return Effect.sync(cancel)
    })
  }

  /** PR3. Never ends by itself. */
  #watchBacklog(followers: readonly Follower[]): Effect.Effect<never, BerthError> {
    return Effect.gen({ self: this }, function* () {
      for (;;) {
        yield* this.#clock.sleep(HOLD_LOOK_MS)
        let backlogBytes = 0
        for (const follower of followers) backlogBytes += yield* follower.backlogBytes
        const pid = this.#keeper?.pid
        if (pid === undefined || this.#isEnded) continue
        if (this.#isHeld && backlogBytes < RELEASE_BYTES) this.#release(pid)
        else if (!this.#isHeld && backlogBytes > HOLD_BYTES && this.#stop === null) this.#hold(pid)
      }
    })
  }

  #hold(pid: number): void {
    this.#isHeld = true
    signalGroup(pid, "SIGSTOP")
  }

  #release(pid: number): void {
    this.#isHeld = false
    if (!this.#isPaused) signalGroup(pid, "SIGCONT")
  }

  #verdict(): Effect.Effect<Exit, BerthError> {
    return Effect.flatMap(
      onDisk(async () => ({
        report: parseReport(await readControl(this.#paths, "status"), await readControl(this.#paths, "times")),
        overdue: (await readControl(this.#paths, "overdue")) !== "",
        wallMs: this.#wallMs ?? (await wallMsOf(this.#paths)),
      })),
      ({ report, overdue, wallMs }) => {
        // Killed from outside while nobody watched, or with the whole host: nobody knows what became of it.
        const unknown = report === null && this.#child === null && this.#stop === null && !overdue
        if (unknown) return Effect.fail(lost("the program's keeper is gone and left no report"))
        return Effect.succeed(exitOf(report, this.#stop, overdue, wallMs))
      },
    )
  }
}

/** From the keeper's first to its last word, for a program that began before this process did. */
const wallMsOf = async (paths: BoxPaths): Promise<number | null> => {
  const mtimeMs = (name: string) =>
    stat(join(paths.control, name)).then(
      (found) => found.mtimeMs,
      () => null,
    )
  const [beganAtMs, endedAtMs] = await Promise.all([mtimeMs("keeper"), mtimeMs("status")])
  return beganAtMs === null || endedAtMs === null ? null : Math.max(0, Math.round(endedAtMs - beganAtMs))
}

/** The system takes only so many bytes of arguments and environment; that no repeat will change. */
const spawnError = (cause: unknown): BerthError => {
  const code = cause instanceof Error && "code" in cause ? cause.code : null
  if (code === "E2BIG")
    return berthError("TOO_LARGE", "arguments and environment are more than this host can pass on", { cause })
  return berthError("BACKEND_UNAVAILABLE", `the program could not be started: ${String(cause)}`, { cause })
}

const lost = (message: string): BerthError =>
  berthError("BACKEND_UNAVAILABLE", message, { hint: "The task starts again by itself." })

const notBegun = (stop: StopMode): Exit => ({ ...exitOf(null, stop, false, null), signal: null })
