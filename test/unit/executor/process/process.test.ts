import { existsSync, readdirSync, readFileSync, statSync } from "node:fs"
import { mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Fiber } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { processExecutor } from "../../../../actors/executor/process/index.ts"
import { BerthError } from "../../../../core/errors.ts"
import type { Exit, ExecutorShape, Job, StopMode } from "../../../../core/ports/executor.ts"
import type { Artifact } from "../../../../core/task/result.ts"
import type { Program, ProgramFile, TaskSpec } from "../../../../core/task/spec.ts"
import { liveClock } from "../../../support/clock.ts"
import { jobOf, type RecordingSink, recordingSink } from "../../../support/executorJob.ts"

let root = ""
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "berth-process-"))
})
afterAll(async () => {
  expect(readdirSync(root)).toEqual([])
  await rm(root, { recursive: true, force: true })
})

const executorOf = (cluster = "c"): ExecutorShape =>
  processExecutor({ root, path: process.env["PATH"] ?? "/usr/bin:/bin", hostId: "h", cluster, clock: liveClock })

const file = (path: string, content: string): ProgramFile => ({ path, content, encoding: "utf8", executable: false })

const programOf = (code: string, more: Partial<Extract<Program, { kind: "runtime" }>> = {}): Program => ({
  kind: "runtime",
  runtime: "bash",
  entry: "main.sh",
  args: [],
  env: {},
  stdin: null,
  secrets: [],
  ...more,
  files: more.files ?? [file("main.sh", code)],
})

let tasks = 0
const scene = async (program: Program, spec: Partial<TaskSpec> = {}, sink: RecordingSink = recordingSink()) => {
  const executor = executorOf()
  const job: Job = jobOf(program, `p${tasks++}`, spec)
  const place = await Effect.runPromise(executor.create(job))
  const start = (): Promise<Exit> => Effect.runPromise(executor.run(job, place, sink))
  const stop = (mode: StopMode): Promise<void> => Effect.runPromise(executor.stop(job, place, mode))
  const remove = (): Promise<void> => Effect.runPromise(executor.remove(job, place))
  const control = (name: string): string => join(root, place.containerId ?? "", "control", name)
  return { executor, job, place, sink, start, stop, remove, control }
}

const ran = async (program: Program, spec: Partial<TaskSpec> = {}) => {
  const it = await scene(program, spec)
  const exit = await it.start()
  await it.remove()
  return { exit, out: it.sink.text("stdout"), err: it.sink.text("stderr"), sink: it.sink }
}

/** Processes that have `mark` in their environment: the program's, wherever they went. */
const marked = (mark: string): number[] =>
  readdirSync("/proc")
    .filter((name) => {
      try {
        return /^\d+$/.test(name) && readFileSync(`/proc/${name}/environ`, "utf8").includes(mark)
      } catch {
        return false
      }
    })
    .map(Number)

/** `R`, `S`, `T`, … */
const stateOf = async (pid: number): Promise<string> =>
  (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1]?.charAt(0) ?? ""

const untilNone = async (mark: string): Promise<void> => {
  while (marked(mark).length > 0) await new Promise((resolve) => setImmediate(resolve))
}

describe("what does a program get, and what is kept of it", () => {
  it("files, arguments, input and environment arrive exact; output comes back exact and apart", async () => {
    const odd = ["", "a b", "$HOME `x` \"'\\", "-n", "ü\nnext", "*"]
    const program = programOf('cat; printf "[%s]" "$@"; printf "%s" "$ODD" >&2; . sub/other.sh', {
      args: odd,
      env: { ODD: 'it\'s\n"so" $1' },
      stdin: { content: Buffer.from("line\n\u0000end").toString("base64"), encoding: "base64" },
      files: [
        file("main.sh", 'cat; printf "[%s]" "$@"; printf "%s" "$ODD" >&2; . sub/other.sh'),
        file("sub/other.sh", "echo other"),
      ],
    })
    const { exit, out, err, sink } = await ran(program)
    expect(out).toBe(`line\n\u0000end${odd.map((arg) => `[${arg}]`).join("")}other\n`)
    expect(err).toBe('it\'s\n"so" $1')
    expect(exit).toMatchObject({
      status: "completed",
      reason: "exit_zero",
      exitCode: 0,
      signal: null,
      memoryPeakBytes: null,
    })
    expect(exit.wallMs).toBeGreaterThan(0)
    expect(exit.cpuMs).toBeGreaterThanOrEqual(0)
    expect(sink.begins()).toBe(1)
  })

  it("nothing of the server's environment but the path of interpreters", async () => {
    const { out } = await ran(programOf("env", { env: { GIVEN: "1" } }))
    const names = out
      .trim()
      .split("\n")
      .map((line) => line.slice(0, line.indexOf("=")))
    // The shells' own, which every program that a shell starts has.
    const ofShells = new Set(["PWD", "OLDPWD", "SHLVL", "_"])
    expect(names.filter((name) => !ofShells.has(name)).sort()).toEqual(["GIVEN", "PATH"])
  })

  it("exit codes and signals one to one", async () => {
    for (const code of [1, 2, 42, 137, 255]) {
      expect((await ran(programOf(`exit ${code}`))).exit).toMatchObject({
        status: "failed",
        reason: "exit_nonzero",
        exitCode: code,
      })
    }
    for (const signal of ["TERM", "KILL", "SEGV", "INT", "PIPE", "USR1"]) {
      const { exit, err } = await ran(programOf(`kill -${signal} $$`))
      expect(exit).toMatchObject({ status: "failed", reason: "signal", signal: `SIG${signal}`, exitCode: null })
      expect(err).toBe("")
    }
  })

  it("a perl and a node program run with the host's interpreters", async () => {
    const perl = programOf("", {
      runtime: "perl",
      entry: "main.pl",
      files: [file("main.pl", 'print "perl @ARGV"')],
      args: ["x"],
    })
    expect((await ran(perl)).out).toBe("perl x")
    const node = programOf("", { runtime: "node", entry: "main.js", files: [file("main.js", "console.log(6*7)")] })
    expect((await ran(node)).out).toBe("42\n")
  })

  it("a program is compiled first, and one that does not compile says why", async () => {
    const c = (code: string) =>
      programOf("", { runtime: "c", entry: "main.c", files: [file("main.c", code)], args: ["5"] })
    const good = await ran(
      c('#include <stdio.h>\n#include <stdlib.h>\nint main(int n,char**v){printf("c %s\\n",v[1]);return atoi(v[1]);}'),
    )
    expect([good.exit.exitCode, good.out]).toEqual([5, "c 5\n"])
    const bad = await ran(c("int main( {"))
    expect(bad.exit).toMatchObject({ status: "failed", reason: "compile_failed" })
    expect(bad.err).toContain("main.c")
  })

  it("20 MB come through exact, at the pace of a slow sink", async () => {
    const slow = recordingSink({ beforeWrite: Effect.yieldNow })
    const it = await scene(programOf("head -c 20000000 /dev/zero | tr '\\0' x; echo end"), {}, slow)
    expect((await it.start()).status).toBe("completed")
    expect(slow.bytes("stdout").length).toBe(20_000_004)
    await it.remove()
  })

  it.each(["goes on", "is killed"])(
    "PR3: a program that runs away from a blocked sink is held, and then %s",
    async (then) => {
      let open = (): void => undefined
      const gate = new Promise<void>((resolve) => {
        open = resolve
      })
      const blocked = recordingSink({ beforeWrite: Effect.promise(() => gate) })
      const it = await scene(programOf("head -c 300000000 /dev/zero"), {}, blocked)
      const ended = it.start()
      await it.sink.untilBegan
      while (!existsSync(it.control("keeper"))) await new Promise((resolve) => setImmediate(resolve))
      const keeper = Number.parseInt(await readFile(it.control("keeper"), "utf8"), 10)
      while ((await stateOf(keeper)) !== "T") await new Promise((resolve) => setImmediate(resolve))
      expect(statSync(it.control("stdout")).size).toBeLessThan(300_000_000)
      if (then === "is killed") await it.stop("kill")
      open()
      const exit = await ended
      if (then === "is killed") expect(exit).toMatchObject({ status: "cancelled", reason: "killed" })
      else expect([exit.status, blocked.bytes("stdout").length]).toEqual(["completed", 300_000_000])
      await it.remove()
    },
  )

  it("F2, F3: what was read long ago is given back to the disk, and an adopter says a gap", async () => {
    const it = await scene(programOf("head -c 50000000 /dev/zero | tr '\\0' x; echo end"))
    await it.start()
    const gone = Number(await readFile(it.control("gone").replace("gone", "stdout.gone"), "utf8"))
    expect(gone).toBeGreaterThan(30_000_000)
    const late = recordingSink()
    expect(await Effect.runPromise(executorOf().adopt(it.job, it.place, late, { stdout: 0, stderr: 0 }))).toMatchObject(
      { status: "completed" },
    )
    expect(late.losses).toEqual([{ stream: "stdout", offset: 0, bytes: gone }])
    expect(late.bytes("stdout").length).toBe(50_000_004 - gone)
    await it.remove()
  })

  it("artifacts: regular files of out, within the limits, links never followed", async () => {
    const it = await scene(
      programOf(
        "mkdir -p out/sub; echo a >out/b.txt; echo c >out/sub/d.txt; ln -s /etc/passwd out/link; ln -s / out/dir; mkfifo out/pipe; head -c 17000000 /dev/zero >out/big",
      ),
    )
    await it.start()
    const kept: Record<string, string> = {}
    const keep = (path: string, bytes: Uint8Array) =>
      Effect.sync((): Artifact => {
        kept[path] = Buffer.from(bytes).toString()
        return { path, sizeBytes: bytes.length, sha256: "", blobKey: path }
      })
    const { artifacts, missing } = await Effect.runPromise(it.executor.collect(it.job, it.place, keep))
    expect(kept).toEqual({ "b.txt": "a\n", "sub/d.txt": "c\n" })
    expect(artifacts.map((artifact) => artifact.path)).toEqual(["b.txt", "sub/d.txt"])
    expect(missing).toContain("big")
    await it.remove()
  })
})

describe("what does a stop do", () => {
  it.each([
    ["cancel", "cancelled", "cancelled"],
    ["deadline", "timeout", "deadline"],
  ] as const)("%s asks first, and a program that heeds it may finish its words", async (mode, status, reason) => {
    const { start, stop, sink, remove } = await scene(
      programOf("trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.02; done"),
      { graceMs: 60_000 },
    )
    const ended = start()
    await sink.untilText("stdout", "ready")
    await stop(mode)
    await stop(mode)
    expect(await ended).toMatchObject({ status, reason, exitCode: 3, signal: null })
    expect(sink.text("stdout")).toBe("ready\nbye\n")
    await remove()
  })

  it("after the grace all of the program's group is killed", async () => {
    const mark = `DEAF_${process.pid}_${tasks}`
    const { start, stop, sink, remove } = await scene(
      programOf("trap '' TERM; sleep 1000 & echo ready; while :; do sleep 0.02; done", { env: { [mark]: "1" } }),
      { graceMs: 50 },
    )
    const ended = start()
    await sink.untilText("stdout", "ready")
    await stop("cancel")
    expect(await ended).toMatchObject({ status: "cancelled", reason: "cancelled", signal: "SIGKILL" })
    await untilNone(mark)
    await remove()
  })

  it("a kill is at once, also during the grace of a cancel", async () => {
    const { start, stop, sink, remove } = await scene(programOf("trap '' TERM; echo ready; sleep 1000"), {
      graceMs: 60_000,
    })
    const ended = start()
    await sink.untilText("stdout", "ready")
    await stop("cancel")
    await stop("kill")
    expect(await ended).toMatchObject({ status: "cancelled", reason: "killed", signal: "SIGKILL" })
    await remove()
  })

  it("PR1: a stop before the start runs nothing", async () => {
    const { start, stop, sink, remove, control } = await scene(programOf("echo ran"))
    await stop("cancel")
    expect(await start()).toMatchObject({ status: "cancelled", exitCode: null, signal: null })
    expect([sink.begins(), existsSync(control("keeper"))]).toEqual([0, false])
    await remove()
  })

  it("what a program left in its group is gone when it has ended", async () => {
    const mark = `LEFT_${process.pid}_${tasks}`
    const { exit } = await ran(programOf("sleep 1000 >/dev/null 2>&1 & exit 0", { env: { [mark]: "1" } }))
    expect(exit.status).toBe("completed")
    await untilNone(mark)
  })

  it("remove ends a running program and leaves nothing; twice is no error", async () => {
    const mark = `GONE_${process.pid}_${tasks}`
    const { start, sink, remove } = await scene(programOf("echo ready; sleep 1000", { env: { [mark]: "1" } }))
    const ended = start()
    await sink.untilText("stdout", "ready")
    await remove()
    await ended
    await untilNone(mark)
    await remove()
  })

  it("EX7: paused it does not move, and goes on as if nothing had been", async () => {
    const { executor, start, sink, place, remove } = await scene(
      programOf("echo ready; while [ ! -e go ]; do sleep 0.01; done; echo done"),
    )
    const ended = start()
    await sink.untilText("stdout", "ready")
    await Effect.runPromise(executor.pause(place))
    await writeFile(join(root, place.containerId ?? "", "box", "go"), "")
    const keeper = Number.parseInt(await readFile(join(root, place.containerId ?? "", "control", "keeper"), "utf8"), 10)
    const state = async (): Promise<string> =>
      (await readFile(`/proc/${keeper}/stat`, "utf8")).split(") ")[1]?.charAt(0) ?? ""
    while ((await state()) !== "T") await new Promise((resolve) => setImmediate(resolve))
    expect(sink.text("stdout")).toBe("ready\n")
    await Effect.runPromise(executor.unpause(place))
    expect((await ended).status).toBe("completed")
    expect(sink.text("stdout")).toBe("ready\ndone\n")
    await remove()
  })
})

describe("what does a successor find", () => {
  const counting =
    "i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); done; echo mid; while [ ! -e go ]; do sleep 0.01; done; echo end; exit 7"

  /** A first server that began and then let go, as a crash or a detach would. */
  const abandoned = async (code: string, spec: Partial<TaskSpec> = {}, until = "mid") => {
    const it = await scene(programOf(code), spec)
    const fiber = Effect.runFork(it.executor.run(it.job, it.place, it.sink))
    await it.sink.untilText("stdout", until)
    await Effect.runPromise(Fiber.interrupt(fiber))
    await Effect.runPromise(it.executor.detach(it.job, it.place))
    return it
  }
  const adopter = (it: Awaited<ReturnType<typeof abandoned>>, from: number) => {
    const sink = recordingSink({ from })
    const executor = executorOf()
    const job = { ...it.job, epoch: 2 }
    const ended = Effect.runPromise(executor.adopt(job, it.place, sink, { stdout: from, stderr: from }))
    return { sink, executor, job, ended, go: () => writeFile(join(root, it.place.containerId ?? "", "box", "go"), "") }
  }

  it("EX4: a running program, whose output goes on at any offset without a repeat or a gap", async () => {
    const it = await abandoned(counting)
    const whole = Array.from({ length: 300 }, (_, index) => `line ${index}\n`).join("")
    const heir = adopter(it, 1_234)
    await heir.sink.untilBegan
    await heir.go()
    expect(await heir.ended).toMatchObject({ status: "failed", reason: "exit_nonzero", exitCode: 7 })
    expect(heir.sink.text("stdout")).toBe(`${whole}mid\nend\n`.slice(1_234))
    await Effect.runPromise(heir.executor.remove(heir.job, it.place))
  })

  it("a program that ended while nobody was there, with its output and exit code", async () => {
    const it = await abandoned(counting)
    await writeFile(join(root, it.place.containerId ?? "", "box", "go"), "")
    while (!existsSync(it.control("status"))) await new Promise((resolve) => setImmediate(resolve))
    const heir = adopter(it, 0)
    const exit = await heir.ended
    expect(exit).toMatchObject({ exitCode: 7 })
    expect(exit.wallMs).not.toBeNull()
    expect(heir.sink.text("stdout").endsWith("mid\nend\n")).toBe(true)
    await Effect.runPromise(heir.executor.remove(heir.job, it.place))
  })

  it("EX9: the time limit was enforced though nobody was there", async () => {
    const it = await abandoned("trap 'echo late; exit 9' TERM; echo mid; while :; do sleep 0.02; done", {
      timeoutMs: 1,
    })
    while (!existsSync(it.control("status"))) await new Promise((resolve) => setImmediate(resolve))
    const heir = adopter(it, 0)
    expect(await heir.ended).toMatchObject({ status: "timeout", reason: "deadline", exitCode: 9 })
    expect(heir.sink.text("stdout")).toBe("mid\nlate\n")
    await Effect.runPromise(heir.executor.remove(heir.job, it.place))
  })

  it("a stop that was asked for before the adoption is obeyed by it", async () => {
    const it = await abandoned("echo mid; sleep 1000")
    const executor = executorOf()
    await Effect.runPromise(executor.stop(it.job, it.place, "cancel"))
    const exit = await Effect.runPromise(executor.adopt(it.job, it.place, recordingSink(), { stdout: 0, stderr: 0 }))
    expect(exit).toMatchObject({ status: "cancelled", signal: "SIGTERM" })
    await Effect.runPromise(executor.remove(it.job, it.place))
  })

  it("a place that was never started, one whose keeper left no word, and none at all are lost, retryable", async () => {
    const never = await scene(programOf("echo"))
    const silent = await abandoned("echo mid; sleep 1000")
    const keeper = Number.parseInt(await readFile(silent.control("keeper"), "utf8"), 10)
    process.kill(-keeper, "SIGKILL")
    await never.remove()
    const empty = await scene(programOf("echo"))
    for (const it of [never, silent, empty]) {
      const error: unknown = await Effect.runPromise(
        Effect.flip(executorOf().adopt(it.job, it.place, recordingSink(), { stdout: 0, stderr: 0 })),
      )
      expect(error).toBeInstanceOf(BerthError)
      expect((error as BerthError).retryable).toBe(true)
      await it.remove()
    }
  })

  it("a recorded process number that now is somebody else's is not touched", async () => {
    const it = await abandoned(counting)
    const stat = await readFile(it.control("keeper"), "utf8")
    const other = `${process.pid} (node)${stat.slice(stat.lastIndexOf(")") + 1)}`
    const pid = Number.parseInt(stat, 10)
    await truncate(it.control("keeper"), 0)
    await writeFile(it.control("keeper"), other)
    const error = await Effect.runPromise(
      Effect.flip(executorOf().adopt(it.job, it.place, recordingSink(), { stdout: 0, stderr: 0 })),
    )
    expect(error.retryable).toBe(true)
    process.kill(-pid, "SIGKILL")
    await Effect.runPromise(executorOf().remove(it.job, it.place))
  })

  it("places of its cluster and the named workers only, and whether they run", async () => {
    const running = await abandoned("echo mid; sleep 1000")
    const idle = await scene(programOf("echo"))
    const found = await Effect.runPromise(executorOf().places(["w"]))
    expect(found).toContainEqual({ containerId: running.place.containerId, worker: "w", running: true })
    expect(found).toContainEqual({ containerId: idle.place.containerId, worker: "w", running: false })
    expect((await Effect.runPromise(executorOf().places(null))).length).toBe(2)
    expect(await Effect.runPromise(executorOf().places(["other"]))).toEqual([])
    expect(await Effect.runPromise(executorOf("other").places(["w"]))).toEqual([])
    await running.remove()
    await idle.remove()
  })
})

describe("what is refused", () => {
  it("names that are no places of ours, roots that a shell would misread, paths that leave the box, unknown runtimes", async () => {
    const executor = executorOf()
    const strange = { containerId: "../../etc", imageDigest: null, policy: null }
    const error = await Effect.runPromise(Effect.flip(executor.remove({ taskId: "t", epoch: 1 }, strange)))
    expect(error.code).toBe("INTERNAL")
    expect(() => processExecutor({ root: "/tmp/a b", path: "", hostId: "", cluster: "", clock: liveClock })).toThrow(
      BerthError,
    )
    const impossible = [[file("../x", "")], [file("a", ""), file("a/b", "")], [file("n".repeat(300), "")]]
    for (const files of impossible) {
      const leaving = await scene(programOf("", { files }))
      const refused = await Effect.runPromise(
        Effect.flip(leaving.executor.run(leaving.job, leaving.place, leaving.sink)),
      )
      expect(refused.code).toBe("INVALID_PARAMS")
      await leaving.remove()
    }
    const wordy = await scene(programOf("", { args: Array.from({ length: 200 }, () => "x".repeat(100_000)) }))
    const tooLarge = await Effect.runPromise(Effect.flip(wordy.executor.run(wordy.job, wordy.place, wordy.sink)))
    expect([tooLarge.code, tooLarge.retryable]).toEqual(["TOO_LARGE", false])
    await wordy.remove()
    const unknown = await scene(programOf("", { runtime: "cobol" }))
    expect(
      (await Effect.runPromise(Effect.flip(unknown.executor.run(unknown.job, unknown.place, unknown.sink)))).code,
    ).toBe("RUNTIME_UNKNOWN")
    await unknown.remove()
  })
})
