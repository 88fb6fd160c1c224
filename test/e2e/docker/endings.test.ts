import { Effect } from "effect"
import { afterAll, expect, it } from "vitest"
import { recordingSink as rigSink } from "../../support/executorJob.ts"
import { describeWithDocker } from "../../support/require.ts"
import { bash, file, python, Rig, runtimeProgram } from "./rig.ts"

const MIB = 1024 * 1024
const limits = (more: object = {}) => ({
  limits: { memoryBytes: 64 * MIB, cpuMilli: 1_000, pidsMax: 64, tmpfsBytes: 32 * MIB, ...more },
})

describeWithDocker("how did the program end?", (engine) => {
  const rig = new Rig(engine)
  afterAll(async () => {
    expect(await rig.left()).toEqual([])
  })

  // Statuses above 128 that a shell could take for signals are among them; 130 and 141 it cannot tell apart.
  it.each([0, 1, 2, 77, 125, 126, 127, 128, 129, 137, 143, 254, 255])("exit code %i is told as such", async (code) => {
    const { exit } = await rig.run(bash(`exit ${code}`))
    const reason = code === 0 ? "exit_zero" : "exit_nonzero"
    expect(exit).toMatchObject({ reason, exitCode: code, signal: null, status: code === 0 ? "completed" : "failed" })
  })

  it.each([
    ["SIGKILL", 9],
    ["SIGTERM", 15],
    ["SIGSEGV", 11],
    ["SIGABRT", 6],
    ["SIGINT", 2],
    ["SIGQUIT", 3],
    ["SIGPIPE", 13],
    ["SIGHUP", 1],
    ["SIGUSR1", 10],
  ])("%s is %s", async (name, number) => {
    const seen = await rig.run(
      python(
        `import os, signal\nsignal.signal(${number}, signal.SIG_DFL) if ${number} != 9 else 0\nos.kill(os.getpid(), ${number})\nprint('no')`,
      ),
    )
    expect(seen.exit).toMatchObject({ status: "failed", reason: "signal", exitCode: null, signal: name })
    expect([seen.out, seen.err]).toEqual(["", ""])
  })

  it("a command that does not exist is 127, with the reason on stderr", async () => {
    const { exit, err } = await rig.run(runtimeProgram("bash", "main.sh", "/no/such/thing"))
    expect(exit.exitCode).toBe(127)
    expect(err).toContain("such")
  })

  it("deadline: a program that heeds SIGTERM cleans up, once, and counts as timed out", async () => {
    const text =
      "import signal, sys, time\ndef h(*_):\n  print('cleaning'); time.sleep(0.6); print('clean'); sys.exit(0)\nsignal.signal(15, h)\nwhile True: time.sleep(10)"
    const { exit, out } = await rig.run(python(text), { timeoutMs: 2_000, graceMs: 5_000 })
    expect(out).toBe("cleaning\nclean\n")
    expect(exit).toMatchObject({ status: "timeout", reason: "deadline", exitCode: 0 })
  })

  it("deadline: one that ignores SIGTERM is killed after the grace period, children too", async () => {
    const text = "trap '' TERM\n(trap '' TERM; while :; do :; done) &\nwhile :; do :; done"
    const { exit } = await rig.run(bash(text), { timeoutMs: 400, graceMs: 300 })
    expect(exit).toMatchObject({ status: "timeout", reason: "deadline", signal: "SIGKILL" })
    expect(exit.cpuMs).toBeGreaterThan(100)
  })

  it("deadline: also where the program killed its watcher, and where the compiler is what takes so long", async () => {
    const { exit } = await rig.run(
      python(
        "import os, time\nfor p in os.listdir('/proc'):\n  if p.isdigit() and int(p) not in (1, os.getpid(), os.getppid()):\n    try: os.kill(int(p), 9)\n    except OSError: pass\nwhile True: time.sleep(9)",
      ),
      { timeoutMs: 300, graceMs: 100 },
    )
    expect(exit).toMatchObject({ status: "timeout", reason: "deadline" })
    const endless = '#include "main.c"\n'.repeat(3)
    const slow = await rig.run(
      runtimeProgram(
        "cpp",
        "main.cpp",
        "template<int a, int b> struct F { static const int v = F<a-1, b*2>::v + F<a-1, b*2+1>::v; }; template<int b> struct F<0, b> { static const int v = 1; }; int main() { return F<17, 0>::v; }",
        { files: [file("x.h", endless)] },
      ),
      { timeoutMs: 300, graceMs: 100 },
    )
    expect(slow.exit).toMatchObject({ status: "timeout", reason: "deadline" })
  })

  it("cancel: SIGTERM reaches the program, which may clean up", async () => {
    const text =
      "import signal, sys, time\nsignal.signal(15, lambda *_: (print('bye'), sys.exit(4)))\nprint('up')\nwhile True: time.sleep(9)"
    const started = await rig.start(python(text), { graceMs: 5_000 })
    await started.sink.untilText("stdout", "up")
    await Effect.runPromise(rig.executor.stop(started.job, started.place, "cancel"))
    expect(await started.exit).toMatchObject({ status: "cancelled", reason: "cancelled", exitCode: 4 })
    expect(started.sink.text("stdout")).toBe("up\nbye\n")
    await Effect.runPromise(rig.executor.stop(started.job, started.place, "cancel"))
    await rig.remove(started)
  })

  it("cancel: one that ignores SIGTERM is killed after the grace period", async () => {
    const started = await rig.start(bash("trap '' TERM; echo up; while :; do sleep 1; done"), {
      graceMs: 300,
      artifacts: true,
    })
    await started.sink.untilText("stdout", "up")
    await Effect.runPromise(rig.executor.stop(started.job, started.place, "cancel"))
    expect(await started.exit).toMatchObject({ status: "cancelled", reason: "cancelled", signal: "SIGKILL" })
    expect(await rig.collect(started)).toMatchObject({ artifacts: [], missing: expect.stringContaining("killed") })
    await rig.remove(started)
  })

  it("kill: at once, also during a cancel's grace period", async () => {
    const started = await rig.start(bash("trap '' TERM; echo up; while :; do sleep 1; done"), { graceMs: 60_000 })
    await started.sink.untilText("stdout", "up")
    const cancelling = Effect.runPromise(rig.executor.stop(started.job, started.place, "cancel"))
    await Effect.runPromise(rig.executor.stop(started.job, started.place, "kill"))
    expect(await started.exit).toMatchObject({ status: "cancelled", reason: "killed" })
    await cancelling
    await rig.remove(started)
  })

  it("a stop before the start: nothing is started", async () => {
    const job = rig.job(bash("echo ran"))
    const place = await rig.create(job)
    await Effect.runPromise(rig.executor.stop(job, place, "cancel"))
    const started = await Effect.runPromise(rig.executor.run(job, place, rigSink()))
    expect(started).toMatchObject({ status: "cancelled", reason: "cancelled" })
    expect((await rig.docker.getContainer(place.containerId ?? "").inspect()).State.Status).toBe("created")
    await rig.remove({ job, place })
  })

  it("with both tmpfs full, the shell still tells which signal ended the program", async () => {
    const full = await rig.run(
      bash("cat /dev/zero > /tmp/x 2>/dev/null; cat /dev/zero > /box/x 2>/dev/null; kill -9 $$"),
      limits({ tmpfsBytes: 8 * MIB }),
    )
    expect(full.exit).toMatchObject({ reason: "signal", signal: "SIGKILL" })
  })

  it("a program that kills everything it can ends as killed", async () => {
    const { exit } = await rig.run(bash("kill -9 -1; echo survived; sleep 60"), { timeoutMs: 5_000 })
    expect(exit).toMatchObject({ status: "failed", reason: "signal", signal: "SIGKILL" })
  })

  it("a program that sends SIGTERM to everything goes on if it heeds none, to its own end", async () => {
    const { exit, out } = await rig.run(bash("trap '' TERM; kill -TERM -1; sleep 0.3; echo survived; exit 6"))
    expect([out, exit.exitCode]).toEqual(["survived\n", 6])
    const endless = await rig.run(bash("trap '' TERM; kill -TERM -1; while :; do sleep 0.1; done"), {
      timeoutMs: 1_000,
      graceMs: 100,
    })
    expect(endless.exit).toMatchObject({ status: "timeout", signal: "SIGKILL" })
    // The watcher inside did it: a report is there.
    expect(endless.exit.cpuMs).not.toBeNull()
  })
})
