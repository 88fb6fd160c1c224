import { existsSync, statSync } from "node:fs"
import { readFile } from "node:fs/promises"
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import type { Artifact } from "../../../../core/task/result.ts"
import { recordingSink } from "../../../support/executorJob.ts"
import { fileOf, ProcessRig, programOf, stateOf } from "../../../support/processRig.ts"

const rig = new ProcessRig()

describe("what does a program get, and what is kept of it", () => {
  it("files, arguments, input and environment arrive exact; output comes back exact and apart", async () => {
    const odd = ["", "a b", "$HOME `x` \"'\\", "-n", "ü\nnext", "*"]
    const program = programOf('cat; printf "[%s]" "$@"; printf "%s" "$ODD" >&2; . sub/other.sh', {
      args: odd,
      env: { ODD: 'it\'s\n"so" $1' },
      stdin: { content: Buffer.from("line\n\u0000end").toString("base64"), encoding: "base64" },
      files: [
        fileOf("main.sh", 'cat; printf "[%s]" "$@"; printf "%s" "$ODD" >&2; . sub/other.sh'),
        fileOf("sub/other.sh", "echo other"),
      ],
    })
    const { exit, out, err, sink } = await rig.ran(program)
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
    const { out } = await rig.ran(programOf("env", { env: { GIVEN: "1" } }))
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
      expect((await rig.ran(programOf(`exit ${code}`))).exit).toMatchObject({
        status: "failed",
        reason: "exit_nonzero",
        exitCode: code,
      })
    }
    for (const signal of ["TERM", "KILL", "SEGV", "INT", "PIPE", "USR1"]) {
      const { exit, err } = await rig.ran(programOf(`kill -${signal} $$`))
      expect(exit).toMatchObject({ status: "failed", reason: "signal", signal: `SIG${signal}`, exitCode: null })
      expect(err).toBe("")
    }
  })

  it("a perl and a node program run with the host's interpreters", async () => {
    const perl = programOf("", {
      runtime: "perl",
      entry: "main.pl",
      files: [fileOf("main.pl", 'print "perl @ARGV"')],
      args: ["x"],
    })
    expect((await rig.ran(perl)).out).toBe("perl x")
    const node = programOf("", { runtime: "node", entry: "main.js", files: [fileOf("main.js", "console.log(6*7)")] })
    expect((await rig.ran(node)).out).toBe("42\n")
  })

  it("a program is compiled first, and one that does not compile says why", async () => {
    const c = (code: string) =>
      programOf("", { runtime: "c", entry: "main.c", files: [fileOf("main.c", code)], args: ["5"] })
    const good = await rig.ran(
      c('#include <stdio.h>\n#include <stdlib.h>\nint main(int n,char**v){printf("c %s\\n",v[1]);return atoi(v[1]);}'),
    )
    expect([good.exit.exitCode, good.out]).toEqual([5, "c 5\n"])
    const bad = await rig.ran(c("int main( {"))
    expect(bad.exit).toMatchObject({ status: "failed", reason: "compile_failed" })
    expect(bad.err).toContain("main.c")
  })

  it("20 MB come through exact, at the pace of a slow sink", async () => {
    const slow = recordingSink({ beforeWrite: Effect.yieldNow })
    const it = await rig.scene(programOf("head -c 20000000 /dev/zero | tr '\\0' x; echo end"), {}, slow)
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
      let writtenBytes = 0
      const write = (_stream: string, _offset: number, bytes: Uint8Array) =>
        Effect.promise(() => gate.then(() => void (writtenBytes += bytes.length)))
      const blocked = { ...recordingSink(), write }
      const it = await rig.scene(programOf("head -c 300000000 /dev/zero"), {}, blocked)
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
      else expect([exit.status, writtenBytes]).toEqual(["completed", 300_000_000])
      await it.remove()
    },
  )

  it("F2, F3: what was read long ago is given back to the disk, and an adopter says a gap", async () => {
    const it = await rig.scene(programOf("head -c 50000000 /dev/zero | tr '\\0' x; echo end"))
    await it.start()
    const gone = Number(await readFile(it.control("stdout.gone"), "utf8"))
    expect(gone).toBeGreaterThan(30_000_000)
    const late = recordingSink()
    expect(
      await Effect.runPromise(rig.executor().adopt(it.job, it.place, late, { stdout: 0, stderr: 0 })),
    ).toMatchObject({ status: "completed" })
    expect(late.losses).toEqual([{ stream: "stdout", offset: 0, bytes: gone }])
    expect(late.bytes("stdout").length).toBe(50_000_004 - gone)
    await it.remove()
  })

  it("artifacts: regular files of out, within the limits, links never followed", async () => {
    const it = await rig.scene(
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
