import { Effect } from "effect"
import { afterAll, expect, it } from "vitest"
import { differences } from "../../../actors/executor/docker/effective.ts"
import { createOptions } from "../../../actors/executor/docker/profile.ts"
import { SECCOMP_HASH, SECCOMP_PROFILE } from "../../../actors/executor/docker/seccomp.ts"
import { shelllessImage } from "../../support/images.ts"
import { recordingSink } from "../../support/executorJob.ts"
import { describeWithDocker } from "../../support/require.ts"
import { bash, failureOf, file, imageProgram, python, Rig, runtimeProgram } from "./rig.ts"

describeWithDocker("what keeps a program in its container?", (engine) => {
  const rig = new Rig(engine)
  afterAll(async () => {
    expect(await rig.left()).toEqual([])
  })

  it("the engine takes the whole profile, and shows nothing that the user sent", async () => {
    const secret = "canary-5f1c"
    const program = python(`print('${secret}')`, {
      args: [secret],
      env: { [`N_${secret.replace("-", "_")}`]: secret },
      stdin: { content: secret, encoding: "utf8" },
      files: [file(`${secret}.txt`, secret)],
    })
    const started = await rig.start(program)
    await started.exit
    const found = await rig.docker.getContainer(started.place.containerId ?? "").inspect()
    expect(JSON.stringify(found)).not.toContain("canary")
    expect(found.HostConfig.SecurityOpt).toContain(`seccomp=${SECCOMP_PROFILE}`)
    expect(found.HostConfig).toMatchObject({
      NetworkMode: "none",
      ReadonlyRootfs: true,
      CapDrop: ["ALL"],
      IpcMode: "none",
    })
    expect(found.Config.User).toBe("107000:107000")
    expect(started.place.policy).toMatchObject({
      seccomp: SECCOMP_HASH,
      readonlyRoot: true,
      noNewPrivileges: true,
      network: "none",
      capabilitiesDropped: ["ALL"],
      pidsMax: 64,
      user: "107000:107000",
      isolation: "runc",
      runtime: "runc",
      cpuShares: 512,
      oomScoreAdj: 500,
      maskedPaths: 12,
      readonlyPaths: 5,
      logBytesMax: 8 * 1024 * 1024,
    })
    await rig.remove(started)
  })

  it("a part of the profile that the engine did not take is found", async () => {
    const job = rig.job(bash("true"))
    const place = await rig.create(job)
    const found = await rig.docker.getContainer(place.containerId ?? "").inspect()
    const body = createOptions({
      name: found.Name.slice(1),
      cluster: rig.cluster,
      worker: job.worker,
      pool: "default",
      imageId: found.Image,
      imageVolumes: [],
      imageEnv: [],
      uid: 107_000,
      limits: job.spec.limits,
      argv: found.Config.Entrypoint as string[],
      env: {},
      feeds: true,
      uidBlock: 7,
      runtime: "runc",
      apparmor: (found.HostConfig.SecurityOpt ?? []).some((option: string) => option.startsWith("apparmor")),
    })
    expect(differences(body, found)).toEqual([])
    const weaker = structuredClone(found)
    weaker.HostConfig.CapDrop = null
    weaker.HostConfig.ReadonlyRootfs = false
    weaker.HostConfig.SecurityOpt = ["no-new-privileges"]
    weaker.HostConfig.Tmpfs = { "/box": "rw" }
    expect(differences(body, weaker).sort()).toEqual(["CapDrop", "ReadonlyRootfs", "SecurityOpt", "Tmpfs"])
    const opened = structuredClone(found)
    opened.HostConfig.PidMode = "host"
    opened.HostConfig.GroupAdd = ["0"]
    opened.Config.Env = ["LD_PRELOAD=/evil.so"]
    expect(differences(body, opened).sort()).toEqual(["Env", "GroupAdd", "PidMode"])
    await rig.remove({ job, place })
  })

  it("each slot has a user of its own, without privileges, and writes only to /box and /tmp", async () => {
    const text = [
      "id -u; grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status",
      'for f in / /etc /dev /sys /proc/sys/kernel/core_pattern /proc/sysrq-trigger; do (echo x > $f/x || echo x > $f) 2>/dev/null && echo "wrote $f"; done',
      "echo x > /box/x && echo x > /tmp/x && echo both",
      "ls /sys/class/net",
    ].join("\n")
    const job = rig.job(bash(text), {}, { slot: 3 })
    const place = await rig.create(job)
    const sink = recordingSink()
    await Effect.runPromise(rig.executor.run(job, place, sink))
    const lines = sink
      .text("stdout")
      .split("\n")
      .map((line) => line.replace(/\s+/g, " "))
    const expected = [
      "107003",
      "CapEff: 0000000000000000",
      "CapBnd: 0000000000000000",
      "NoNewPrivs: 1",
      "Seccomp: 2",
      "both",
    ]
    expect(lines).toEqual(expect.arrayContaining(expected))
    expect(sink.text("stdout")).not.toContain("wrote")
    expect(lines.filter((line) => /^(eth|docker|en)/.test(line))).toEqual([])
    await rig.remove({ job, place })
  })

  it("what programs need works: sockets, threads, processes; clone3 is answered so that libraries do without", async () => {
    const text = [
      "#define _GNU_SOURCE",
      "#include <errno.h>\n#include <pthread.h>\n#include <stdio.h>\n#include <sys/socket.h>\n#include <sys/syscall.h>\n#include <sys/wait.h>\n#include <unistd.h>",
      "static void *t(void *a) { return a; }",
      '#define TRY(name, call) errno = 0; printf(name "=%d\\n", (call) < 0 ? errno : 0)',
      "int main(void) {",
      '  TRY("clone3", syscall(435, 0, 0)); TRY("inet", socket(AF_INET, SOCK_STREAM, 0)); TRY("unix", socket(AF_UNIX, SOCK_STREAM, 0));',
      '  pthread_t p; TRY("thread", pthread_create(&p, 0, t, 0) ? -1 : 0); int f = fork(); if (f == 0) _exit(0); TRY("fork", f); return 0; }',
    ].join("\n")
    const { out, err } = await rig.run(runtimeProgram("c", "main.c", text))
    expect(err).toBe("")
    const answers = out
      .trim()
      .split("\n")
      .map((line) => line.split("="))
    expect(Object.fromEntries(answers)).toEqual({ clone3: "38", inet: "0", unix: "0", thread: "0", fork: "0" })
  })

  it("an image without sh and tar runs a command, with its arguments, environment and exit code", async () => {
    const image = await shelllessImage(engine)
    const said = await rig.run(imageProgram(image, ["/program"], { args: ["say", "a b", "c"] }))
    expect([said.out, said.exit.status]).toEqual(["a b c\n", "completed"])
    const failed = await rig.run(imageProgram(image, ["/program", "exit", "9"]))
    expect(failed.exit).toMatchObject({ reason: "exit_nonzero", exitCode: 9 })
    const late = await rig.run(imageProgram(image, ["/program", "sleep"]), { timeoutMs: 300, graceMs: 200 })
    expect(late.exit).toMatchObject({ status: "timeout", reason: "deadline" })
    const stopped = await rig.start(imageProgram(image, ["/program", "sleep"]), { graceMs: 5_000 })
    await stopped.sink.untilBegan
    await Effect.runPromise(rig.executor.stop(stopped.job, stopped.place, "cancel"))
    expect(await stopped.exit).toMatchObject({ status: "cancelled", signal: "SIGTERM" })
    await rig.remove(stopped)
    for (const more of [
      { files: [file("x", "x")] },
      { stdin: { content: "x", encoding: "utf8" as const } },
      { secrets: ["S"] },
    ]) {
      const error = await failureOf(rig.executor.create(rig.job(imageProgram(image, ["/program"], more))))
      expect([error.code, error.retryable]).toEqual(["IMAGE_NEEDS_SHELL", false])
    }
    const artifacts = await failureOf(
      rig.executor.create(rig.job(imageProgram(image, ["/program"]), { artifacts: true })),
    )
    expect(artifacts.code).toBe("IMAGE_NEEDS_SHELL")
    const missing = await rig.run(imageProgram(image, ["/no-such-program"]))
    expect(missing.exit).toMatchObject({ status: "failed", exitCode: 127, message: "the command was not found" })
  })

  it("what cannot run is refused before anything is made", async () => {
    const codes = [
      [rig.job(imageProgram("berth-test-none:1", ["true"])), "IMAGE_NOT_FOUND"],
      [rig.job(runtimeProgram("cobol", "main.cob", "")), "RUNTIME_UNKNOWN"],
      [rig.job(bash("true", { files: [file("../escape", "")] })), "INVALID_PARAMS"],
      [
        rig.job(bash("true", { files: [file("big", "x".repeat(9_000_000))] }), {
          limits: { memoryBytes: 67_108_864, cpuMilli: 1_000, pidsMax: 64, tmpfsBytes: 8_388_608 },
        }),
        "TOO_LARGE",
      ],
    ] as const
    for (const [job, code] of codes) expect((await failureOf(rig.executor.create(job))).code).toBe(code)
    const kata = rig.job(bash("true"), { isolation: "kata" })
    expect((await failureOf(rig.executor.create(kata))).code).toBe("ISOLATION_UNAVAILABLE")
    expect(await rig.left()).toEqual([])
  })

  it("create is idempotent by name: the unstarted container of the same attempt is used, any other is replaced", async () => {
    const job = rig.job(bash("echo ran"))
    const first = await rig.create(job)
    expect((await rig.create(job)).containerId).toBe(first.containerId)
    await Effect.runPromise(rig.executor.run(job, first, recordingSink()))
    const second = await rig.create(job)
    expect(second.containerId).not.toBe(first.containerId)
    expect(await rig.left()).toEqual([second.containerId])
    await rig.remove({ job, place: second })
    await rig.remove({ job, place: second })
  })

  it("a paused program goes on where it was, and can be found and removed", async () => {
    const started = await rig.start(bash("echo up; n=0; while [ $n -lt 5 ]; do n=$((n+1)); sleep 0.05; done; echo $n"))
    await started.sink.untilText("stdout", "up")
    await Effect.runPromise(rig.executor.pause(started.place))
    await Effect.runPromise(rig.executor.pause(started.place))
    const found = await Effect.runPromise(rig.executor.places(["w", "other"]))
    expect(found).toMatchObject([{ containerId: started.place.containerId, worker: "w", running: true }])
    await Effect.runPromise(rig.executor.unpause(started.place))
    await Effect.runPromise(rig.executor.unpause(started.place))
    expect(await started.exit).toMatchObject({ status: "completed" })
    expect(started.sink.text("stdout")).toBe("up\n5\n")
    await rig.remove(started)
    const fenced = await rig.start(bash("echo up; sleep 60"))
    await fenced.sink.untilText("stdout", "up")
    await Effect.runPromise(rig.executor.pause(fenced.place))
    await Effect.runPromise(rig.executor.stop(fenced.job, fenced.place, "cancel"))
    expect(await fenced.exit).toMatchObject({ status: "cancelled" })
    await rig.remove(fenced)
  })
})
