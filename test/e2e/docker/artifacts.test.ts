import { Effect } from "effect"
import { afterAll, expect, it } from "vitest"
import { describeWithDocker } from "../../support/require.ts"
import { bash, python, Rig } from "./rig.ts"

describeWithDocker("which files come back?", (engine) => {
  const rig = new Rig(engine)
  afterAll(async () => {
    expect(await rig.left()).toEqual([])
  })

  const collected = async (text: string, spec = {}) => {
    const started = await rig.start(python(text), { artifacts: true, ...spec })
    const exit = await started.exit
    const result = await rig.collect(started)
    await rig.remove(started)
    return { exit, ...result }
  }

  it("files and folders below /box/out, byte for byte, also after a failure", async () => {
    const text =
      "import os\nos.makedirs('out/a/b')\nopen('out/x.bin','wb').write(bytes(range(256)))\nopen('out/a/b/' + 'n' * 150,'w').write('deep')\nopen('out/ü ☃','w').write('')\nraise SystemExit(3)"
    const { exit, kept, missing, artifacts } = await collected(text)
    expect(exit.exitCode).toBe(3)
    expect(missing).toBeNull()
    expect([...kept.keys()].sort()).toEqual([`a/b/${"n".repeat(150)}`, "x.bin", "ü ☃"].sort())
    expect(kept.get("x.bin")?.equals(Buffer.from(Array.from({ length: 256 }, (_, i) => i)))).toBe(true)
    expect(artifacts.length).toBe(3)
  })

  it("links, pipes and hard links are left out and named; nothing outside is read", async () => {
    const text =
      "import os\nos.symlink('/etc/passwd','out/link')\nos.mkfifo('out/pipe')\nopen('out/real','w').write('r')\nos.link('out/real','out/twin')"
    const { kept, missing } = await collected(text)
    expect(kept.size).toBe(1)
    expect([...kept.values()].map(String)).toEqual(["r"])
    expect(missing).toContain("link")
    expect(missing).toContain("pipe")
  })

  it("a folder that was replaced by a link, or removed, gives nothing", async () => {
    const linked = await collected("import os\nos.rmdir('out')\nos.symlink('/etc','out')")
    expect([linked.kept.size, linked.missing]).toEqual([0, null])
    const removed = await collected("import os\nos.rmdir('out')")
    expect([removed.kept.size, removed.missing]).toEqual([0, null])
  })

  it("limits: a file that is too large is left out, and too many entries end it", async () => {
    const limits = { limits: { memoryBytes: 268_435_456, cpuMilli: 1_000, pidsMax: 64, tmpfsBytes: 67_108_864 } }
    const big = await collected("open('out/a','wb').write(b'x' * (17 << 20))\nopen('out/b','w').write('small')", limits)
    expect([[...big.kept.keys()], big.missing]).toEqual([["b"], expect.stringContaining("16777216")])
    const many = await collected("for i in range(1100): open(f'out/{i}','w').close()")
    expect(many.kept.size).toBeLessThanOrEqual(1_000)
    expect(many.missing).toContain("1000 entries")
  })

  it("after a graceful time limit they are there; not asked for, there is nothing to take", async () => {
    const text =
      "import signal, sys, time\nsignal.signal(15, lambda *_: (open('out/partial','w').write('p'), sys.exit(0)))\nwhile True: time.sleep(9)"
    const late = await collected(text, { timeoutMs: 2_000, graceMs: 5_000 })
    expect([late.exit.status, late.kept.get("partial")?.toString()]).toEqual(["timeout", "p"])
    const started = await rig.start(bash("mkdir -p out; echo x > out/x"))
    await started.exit
    expect(await rig.collect(started)).toMatchObject({ artifacts: [], missing: null })
    await rig.remove(started)
  })

  it("a container that did not wait long enough says so", async () => {
    const brief = new Rig(engine, { holdMs: 1 })
    const started = await brief.start(bash("echo x > out/x"), { artifacts: true })
    await started.exit
    await brief.docker.getContainer(started.place.containerId ?? "").wait()
    expect(await brief.collect(started)).toMatchObject({ artifacts: [], missing: "the container had already ended" })
    await Effect.runPromise(brief.executor.remove(started.job, started.place))
  })

  it("of a program that the fence holds they are not missing: they can be taken when it goes on", async () => {
    const started = await rig.start(python("open('out/x','w').write('kept')"), { artifacts: true })
    await started.exit
    await Effect.runPromise(rig.executor.pause(started.place))
    await expect(rig.collect(started)).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE", retryable: true })
    await Effect.runPromise(rig.executor.unpause(started.place))
    const { kept, missing } = await rig.collect(started)
    expect([kept.get("x")?.toString(), missing]).toEqual(["kept", null])
    await rig.remove(started)
  })
})
