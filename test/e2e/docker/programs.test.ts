import { afterAll, expect, it } from "vitest"
import { runtimeImage } from "../../support/images.ts"
import { describeWithDocker } from "../../support/require.ts"
import { bash, file, imageProgram, python, Rig, runtimeProgram } from "./rig.ts"

describeWithDocker("what does a program see, and what comes back of it?", (engine) => {
  const rig = new Rig(engine)
  afterAll(async () => {
    expect(await rig.left()).toEqual([])
  })

  const AWKWARD = ["a b", "it's", 'say "x"', "ü☃\n$HOME `x` \\", "", "-n"]
  const ENV = { PLAIN: "1", QUOTED: 'it\'s "so"\n$x `y` \\ ü', "DOTTED.NAME": "d", UID: "5" }

  it("python: several files, arguments, environment and stdin arrive byte for byte", async () => {
    const text = [
      "import sys, os, json, lib.x",
      "names = ['PLAIN', 'QUOTED', 'DOTTED.NAME', 'UID', 'HOME', 'TMPDIR']",
      "print(json.dumps([sys.argv[1:], [os.environ[n] for n in names], sys.stdin.read(), lib.x.v, os.getcwd()]))",
      "sys.stderr.write('no newline at the end')",
    ].join("\n")
    const stdin = { content: "line\n'quoted' ü\0nul", encoding: "utf8" as const }
    const files = [file("lib/x.py", "v = 7")]
    const seen = await rig.run(python(text, { args: AWKWARD, env: ENV, stdin, files }))
    expect(JSON.parse(seen.out)).toEqual([AWKWARD, [...Object.values(ENV), "/box", "/tmp"], stdin.content, 7, "/box"])
    expect(seen.err).toBe("no newline at the end")
    expect(seen.exit).toMatchObject({ status: "completed", reason: "exit_zero", exitCode: 0, signal: null })
    expect(seen.exit.wallMs).toBeGreaterThan(0)
    expect(seen.exit.cpuMs).toBeGreaterThan(0)
    expect(seen.exit.memoryPeakBytes).toBeGreaterThan(1_000_000)
    expect(seen.sink.begins()).toBe(1)
  })

  it("node: the same", async () => {
    const text = [
      "const fs = require('node:fs'); const { v } = require('./lib/x.js')",
      "process.stdout.write(JSON.stringify([process.argv.slice(2), process.env.QUOTED, fs.readFileSync(0, 'utf8'), v]))",
    ].join("\n")
    const files = [file("lib/x.js", "exports.v = 7")]
    const stdin = { content: "in", encoding: "utf8" as const }
    const program = runtimeProgram("node", "main.js", text, { args: AWKWARD, env: ENV, stdin, files })
    const seen = await rig.run(program, {
      limits: { memoryBytes: 268_435_456, cpuMilli: 2_000, pidsMax: 64, tmpfsBytes: 67_108_864 },
    })
    expect(JSON.parse(seen.out)).toEqual([AWKWARD, ENV.QUOTED, "in", 7])
  })

  it("bash: the same", async () => {
    const text = '. lib/x.sh; printf "[%s]" "$@" "$QUOTED" "$(cat)" "$V"'
    const files = [file("lib/x.sh", "V=7")]
    const stdin = { content: "in", encoding: "utf8" as const }
    const seen = await rig.run(bash(text, { args: AWKWARD, env: ENV, stdin, files }))
    expect(seen.out).toBe([...AWKWARD, ENV.QUOTED, "in", "7"].map((word) => `[${word}]`).join(""))
  })

  it("perl: the same", async () => {
    const text = 'require "./lib/x.pl"; $/ = undef; print join("|", @ARGV, $ENV{QUOTED}, <STDIN>, v())'
    const files = [file("lib/x.pl", "sub v { 7 } 1;")]
    const stdin = { content: "in", encoding: "utf8" as const }
    const seen = await rig.run(runtimeProgram("perl", "main.pl", text, { args: AWKWARD, env: ENV, stdin, files }))
    expect(seen.out).toBe([...AWKWARD, ENV.QUOTED, "in", "7"].join("|"))
  })

  it("c: compiled from two files, then run with the same", async () => {
    const main =
      "#include <stdio.h>\n#include <stdlib.h>\nint seven(void);\nint main(int c, char **v) { char b[9] = {0}; fread(b, 1, 8, stdin);" +
      ' for (int i = 1; i < c; i++) printf("%s|", v[i]); printf("%s|%s|%d", getenv("QUOTED"), b, seven()); return 3; }'
    const files = [file("seven.c", "int seven(void) { return 7; }")]
    const stdin = { content: "in", encoding: "utf8" as const }
    const seen = await rig.run(runtimeProgram("c", "main.c", main, { args: AWKWARD, env: ENV, stdin, files }))
    expect(seen.out).toBe([...AWKWARD, ENV.QUOTED, "in", "7"].join("|"))
    expect(seen.exit).toMatchObject({ status: "failed", reason: "exit_nonzero", exitCode: 3 })
  })

  it("a program that does not compile fails as such, with the compiler's words on stderr", async () => {
    const seen = await rig.run(runtimeProgram("c", "main.c", "int main(void) { return nothing; }"))
    expect(seen.exit).toMatchObject({ status: "failed", reason: "compile_failed", exitCode: 1 })
    expect(seen.err).toContain("nothing")
    expect(seen.out).toBe("")
  })

  it("deep paths, long names, binary content and the executable bit arrive", async () => {
    const long = `${"deep/".repeat(20)}${"n".repeat(120)}.bin`
    const files = [
      {
        path: long,
        content: Buffer.from([0, 255, 10, 30, 128]).toString("base64"),
        encoding: "base64" as const,
        executable: false,
      },
      file("tool", "#!/bin/sh\necho ran", true),
    ]
    const seen = await rig.run(
      python(`import subprocess; print(list(open('${long}','rb').read())); subprocess.run('./tool')`, { files }),
    )
    expect(seen.out).toContain("[0, 255, 10, 30, 128]")
    expect(seen.out).toContain("ran")
  })

  it("stdin that was not sent is empty, not the archive", async () => {
    const seen = await rig.run(python("import sys; print(repr(sys.stdin.read()))"))
    expect(seen.out).toBe("''\n")
  })

  it("bytes are exact, whatever they are, and a forged marker is output", async () => {
    const text = [
      "import sys, os",
      "data = bytes(range(256)) * 300",
      "os.write(1, data); os.write(2, data[::-1])",
      `os.write(2, b'\\x1e${"0".repeat(32)} end run exit 9 1 1 1 0\\n')`,
    ].join("\n")
    const seen = await rig.run(python(text))
    const all = Buffer.concat(Array.from({ length: 300 }, () => Buffer.from(Array.from({ length: 256 }, (_, i) => i))))
    expect(Buffer.from(seen.sink.bytes("stdout")).equals(all)).toBe(true)
    const forged = Buffer.from(`\x1e${"0".repeat(32)} end run exit 9 1 1 1 0\n`)
    expect(Buffer.from(seen.sink.bytes("stderr")).equals(Buffer.concat([Buffer.from(all).reverse(), forged]))).toBe(
      true,
    )
    expect(seen.exit.exitCode).toBe(0)
  })

  it("50 MB in one stream arrive whole", async () => {
    const started = await rig.start(python("import sys\nfor i in range(800): sys.stdout.write('x' * 65535 + '\\n')"))
    await started.exit
    const bytes = started.sink.bytes("stdout")
    expect(bytes.length).toBe(800 * 65_536)
    expect(bytes.filter((byte) => byte === 10).length).toBe(800)
    await rig.remove(started)
  })

  it("the first tasks of an image, all at once, share one look at it, and its files arrive afterwards", async () => {
    const fresh = new Rig(engine)
    const image = await runtimeImage(engine, "bash")
    const jobs = [0, 1, 2, 3].map((slot) => fresh.job(imageProgram(image, ["true"]), {}, { slot }))
    const places = await Promise.all(jobs.map((job) => fresh.create(job)))
    expect(new Set(await fresh.left())).toEqual(new Set(places.map(({ containerId }) => containerId)))
    const seen = await fresh.run(imageProgram(image, ["sh", "-c", "cat x"], { files: [file("x", "arrived")] }))
    expect(seen.out).toBe("arrived")
    await fresh.removeAll()
  })
})
