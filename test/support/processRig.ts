import { readdirSync, readFileSync } from "node:fs"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { afterAll, beforeAll, expect } from "vitest"
import { processExecutor } from "../../actors/executor/process/index.ts"
import type { ExecutorShape, Exit, Job, StopMode } from "../../core/ports/executor.ts"
import type { Program, ProgramFile, TaskSpec } from "../../core/task/spec.ts"
import { liveClock } from "./clock.ts"
import { noSecrets } from "./secrets.ts"
import { jobOf, type RecordingSink, recordingSink } from "./executorJob.ts"

/** Where this host's interpreters are. */
export const hostPath = process.env["PATH"] ?? "/usr/bin:/bin"

export const fileOf = (path: string, content: string): ProgramFile => ({
  path,
  content,
  encoding: "utf8",
  executable: false,
})

/** A shell program, unless `more` says otherwise. */
export const programOf = (code: string, more: Partial<Extract<Program, { kind: "runtime" }>> = {}): Program => ({
  kind: "runtime",
  runtime: "bash",
  entry: "main.sh",
  args: [],
  env: {},
  stdin: null,
  secrets: [],
  ...more,
  files: more.files ?? [fileOf("main.sh", code)],
})

/** Attempts of the process executor in a directory of their own, which must be empty after the suite. */
export class ProcessRig {
  root = ""
  #tasks = 0

  constructor() {
    beforeAll(async () => {
      this.root = await mkdtemp(join(tmpdir(), "berth-process-"))
    })
    afterAll(async () => {
      expect(readdirSync(this.root)).toEqual([])
      await rm(this.root, { recursive: true, force: true })
    })
  }

  /** A further executor over the same directory: what a successor has. */
  executor(cluster = "c"): ExecutorShape {
    return processExecutor({
      root: this.root,
      path: hostPath,
      hostId: "h",
      cluster,
      clock: liveClock,
      secrets: noSecrets,
    })
  }

  /** An attempt that was created and not started. */
  async scene(program: Program, spec: Partial<TaskSpec> = {}, sink: RecordingSink = recordingSink()) {
    const executor = this.executor()
    const job: Job = jobOf(program, `p${this.#tasks++}`, spec)
    const place = await Effect.runPromise(executor.create(job))
    const start = (): Promise<Exit> => Effect.runPromise(executor.run(job, place, sink))
    const stop = (mode: StopMode): Promise<void> => Effect.runPromise(executor.stop(job, place, mode))
    const remove = (): Promise<void> => Effect.runPromise(executor.remove(job, place))
    const within = (folder: string, name: string): string => join(this.root, place.containerId ?? "", folder, name)
    const control = (name: string): string => within("control", name)
    const box = (name: string): string => within("box", name)
    return { executor, job, place, sink, start, stop, remove, control, box }
  }

  /** An attempt from create to remove. */
  async ran(program: Program, spec: Partial<TaskSpec> = {}) {
    const it = await this.scene(program, spec)
    const exit = await it.start()
    await it.remove()
    return { exit, out: it.sink.text("stdout"), err: it.sink.text("stderr"), sink: it.sink }
  }

  /** A name for a program's environment that no other process has. */
  mark(): string {
    return `MARK_${process.pid}_${this.#tasks}`
  }
}

/** `R`, `S`, `T`, … of a process. */
export const stateOf = async (pid: number): Promise<string> =>
  (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1]?.charAt(0) ?? ""

/** Resolves when no process has `mark` in its environment: when the program is gone, wherever its parts went. */
export const untilNone = async (mark: string): Promise<void> => {
  const has = (pid: string): boolean => {
    try {
      return readFileSync(`/proc/${pid}/environ`, "utf8").includes(mark)
    } catch {
      return false
    }
  }
  while (readdirSync("/proc").some((name) => /^\d+$/.test(name) && has(name))) {
    await new Promise((resolve) => setImmediate(resolve))
  }
}
