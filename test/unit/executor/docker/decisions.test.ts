import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { engineError } from "../../../../actors/executor/docker/client.ts"
import { bareExitOf, exitOf, parseEnd } from "../../../../actors/executor/docker/exit.ts"
import { archive } from "../../../../actors/executor/docker/feed.ts"
import { jobScript, quote } from "../../../../actors/executor/docker/jobScript.ts"
import { createOptions, type ProfileInput } from "../../../../actors/executor/docker/profile.ts"
import { SECCOMP_PROFILE } from "../../../../actors/executor/docker/seccomp.ts"
import { signalName } from "../../../../actors/executor/docker/signals.ts"
import { ALLOWED_CALLS } from "../../../../actors/executor/docker/syscalls.ts"

const spec = { timeoutMs: 1_000, graceMs: 100 }

describe("how does a report become an end? (XT1 to XT3)", () => {
  const report = (text: string) => {
    const end = parseEnd(text.split(" "))
    if (end === null) throw new Error("not an end")
    return end
  }
  const cases: readonly (readonly [string, string, Parameters<typeof exitOf>[1], object])[] = [
    [
      "zero",
      "end run exit 0 5 9000 1048576 0",
      null,
      { status: "completed", reason: "exit_zero", exitCode: 0, wallMs: 50, cpuMs: 9, memoryPeakBytes: 1_048_576 },
    ],
    ["non-zero", "end run exit 7 5 9000 1 0", null, { status: "failed", reason: "exit_nonzero", exitCode: 7 }],
    ["a signal", "end run signal 139 5 9000 1 0", null, { reason: "signal", signal: "SIGSEGV", exitCode: null }],
    [
      "XT3 an exit code that looks like one",
      "end run exit 137 5 9000 1 0",
      null,
      { reason: "exit_nonzero", exitCode: 137, signal: null },
    ],
    ["XT3 where the shell is silent", "end run exit 130 5 9000 1 0", null, { reason: "signal", signal: "SIGINT" }],
    [
      "XT2 memory of a child",
      "end run exit 0 5 9000 1 1",
      null,
      { status: "failed", reason: "out_of_memory", exitCode: 0 },
    ],
    ["memory before compilation", "end compile exit 1 5 9000 1 2", null, { reason: "out_of_memory" }],
    ["compilation", "end compile exit 1 5 9000 1 0", null, { status: "failed", reason: "compile_failed", exitCode: 1 }],
    [
      "XT1 the time limit before memory",
      "end run signal 137 100 9000 1 1",
      null,
      { status: "timeout", reason: "deadline" },
    ],
    ["not a moment before it", "end run signal 137 99 9000 1 0", null, { reason: "signal" }],
    [
      "XT1 a cancel before everything",
      "end run exit 0 100 9000 1 1",
      "cancel",
      { status: "cancelled", reason: "cancelled" },
    ],
    ["a kill", "end run exit 0 5 9000 1 0", "kill", { status: "cancelled", reason: "killed" }],
    [
      "counters that cannot be read",
      "end run exit 0 5 - - -",
      null,
      { status: "completed", cpuMs: null, memoryPeakBytes: null },
    ],
  ]
  it.each(cases)("%s: %s", (_, text, stop, expected) => {
    expect(exitOf(report(text), stop, spec)).toMatchObject(expected)
  })

  it("other words are no end", () => {
    expect([parseEnd(["begin"]), parseEnd(["end", "run"]), parseEnd([])]).toEqual([null, null, null])
  })

  it("without a report the engine's own words decide", () => {
    const bare = (status: number, oomKilled: boolean, wallMs: number | null) =>
      bareExitOf({ status, oomKilled, wallMs }, null, spec)
    expect(bare(0, false, 5)).toMatchObject({ status: "completed", exitCode: 0, wallMs: 5 })
    expect(bare(137, true, 5)).toMatchObject({ reason: "out_of_memory", signal: "SIGKILL" })
    expect(bare(143, false, 1_000)).toMatchObject({ status: "timeout", reason: "deadline" })
    expect(bare(127, false, null)).toMatchObject({ reason: "exit_nonzero", message: "the command was not found" })
  })

  it("signals have Linux's names", () => {
    expect([1, 9, 15, 31, 34].map(signalName)).toEqual(["SIGHUP", "SIGKILL", "SIGTERM", "SIGSYS", "SIG34"])
  })
})

describe("what does an engine's answer mean? (CL1, CL2)", () => {
  const answer = (statusCode: number) => Object.assign(new Error("x"), { statusCode, json: { message: "said\nso" } })
  it.each([
    ["image inspect", answer(404), "IMAGE_NOT_FOUND"],
    ["create", answer(404), "IMAGE_NOT_FOUND"],
    ["create", answer(400), "IMAGE_REFUSED"],
    ["start", answer(404), "IMAGE_REFUSED"],
    ["start", answer(500), "BACKEND_UNAVAILABLE"],
    ["start", answer(429), "BACKEND_UNAVAILABLE"],
    ["inspect", Object.assign(new Error("refused"), { code: "ECONNREFUSED" }), "BACKEND_UNAVAILABLE"],
    ["inspect", "anything", "BACKEND_UNAVAILABLE"],
  ])("%s: %s is %s", (name, cause, code) => {
    const error = engineError(name, cause)
    expect(error.code).toBe(code)
    expect(error.message).not.toContain("\n")
  })
})

describe("what reaches the shell? (JS1, JS2, FE1 to FE3)", () => {
  const anyText = fc.string({ unit: "binary", maxLength: 60 }).map((text) => text.replaceAll("\0", ""))

  it("JS1: any value comes out of the shell as it went in", () => {
    const empty = { nonce: "n", env: {}, commands: { run: [] }, hasStdin: false, holdMs: 0, spec }
    // What follows runs it here, so it had better only define.
    expect(jobScript(empty)).not.toMatch(/kill|trap|rm /)
    fc.assert(
      fc.property(fc.array(anyText, { maxLength: 5 }), anyText, (args, value) => {
        const script = jobScript({
          nonce: "n",
          env: { VALUE: value, "not.a-name": value, UID: value },
          commands: { run: ["printf", "%s\\0", "args", ...args] },
          hasStdin: false,
          holdMs: 0,
          spec,
        })
        const shown = `${script}\nberth_env; printf '%s\\0' "$VALUE"; berth_program`
        const { stdout, status } = spawnSync("sh", ["-c", shown])
        expect(status).toBe(0)
        const well = (text: string) => Buffer.from(text).toString()
        expect(stdout.toString().split("\0").slice(0, -1)).toEqual([value, "args", ...args].map(well))
      }),
      { numRuns: 60 },
    )
  })

  it("JS2: names that a shell cannot export go through env", () => {
    const script = jobScript({
      nonce: "n",
      env: { A: "1", "B.C": "2", UID: "3" },
      commands: { run: ["true"] },
      hasStdin: true,
      holdMs: 1,
      spec,
    })
    expect(script).toContain("export A='1'")
    expect(script).toContain("exec env 'B.C=2' 'UID=3' 'true'")
    expect(script).toContain(
      "berth_limit=100\nberth_grace=10\nberth_hold=1\nberth_stdin='/box/.in-n'\nberth_compiled=0",
    )
    expect(quote("it's")).toBe("'it'\\''s'")
  })

  it("FE1 to FE3: the machine's own tar reads the archive, long names and modes too", () => {
    const long = `${"d/".repeat(30)}${"n".repeat(200)}`
    const parts = archive(
      [
        { path: long, bytes: Buffer.from([0, 1, 255]), executable: true },
        { path: "out/", bytes: new Uint8Array(), executable: false },
      ],
      0,
    )
    const bytes = Buffer.concat(parts)
    expect(bytes.length % 10_240).toBe(0)
    const folder = mkdtempSync(join(tmpdir(), "berth-feed-"))
    try {
      expect(spawnSync("tar", ["-xf", "-", "-C", folder], { input: bytes }).status).toBe(0)
      expect([...readFileSync(join(folder, long))]).toEqual([0, 1, 255])
      expect(statSync(join(folder, long)).mode & 0o777).toBe(0o755)
      expect(statSync(join(folder, "out")).isDirectory()).toBe(true)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

describe("what is a container created with? (PR1 to PR3, SC1 to SC3)", () => {
  const input: ProfileInput = {
    name: "berth-t-1",
    cluster: "c",
    worker: "w",
    pool: "p",
    imageId: "sha256:x",
    imageVolumes: ["/data", "/box"],
    imageEnv: ["PATH=/bin", "LD_PRELOAD=/evil", "NODE_OPTIONS=--require=/evil"],
    uid: 100_003,
    limits: { memoryBytes: 1 << 28, cpuMilli: 1_500, pidsMax: 64, tmpfsBytes: 1 << 20 },
    argv: ["sh", "-c", "x"],
    env: {},
    feeds: true,
    uidBlock: 0,
    runtime: "runc",
    apparmor: false,
  }

  it("PR2: what the image sets is replaced, blanked or covered", () => {
    const body = createOptions(input)
    expect(body.Env).toEqual(["LD_PRELOAD=", "NODE_OPTIONS="])
    expect(Object.keys(body.HostConfig.Tmpfs ?? {})).toEqual(["/box", "/tmp", "/data"])
    expect(body.HostConfig.Tmpfs?.["/box"]).toBe(
      "rw,exec,nosuid,nodev,size=1048576,nr_inodes=16384,uid=100003,gid=100003,mode=0755",
    )
    expect(body).toMatchObject({
      User: "100003:100003",
      WorkingDir: "/",
      Healthcheck: { Test: ["NONE"] },
      NetworkDisabled: true,
    })
  })

  it("every limit and lock is set on purpose, none is left to a default", () => {
    expect(createOptions(input).HostConfig).toMatchObject({
      NetworkMode: "none",
      ReadonlyRootfs: true,
      CapDrop: ["ALL"],
      CapAdd: [],
      Privileged: false,
      PidsLimit: 64,
      Memory: 1 << 28,
      MemorySwap: 1 << 28,
      NanoCpus: 1_500_000_000,
      OomScoreAdj: 500,
      IpcMode: "none",
      Init: true,
      AutoRemove: false,
      RestartPolicy: { Name: "no" },
      LogConfig: { Type: "local", Config: { "max-size": "4m", "max-file": "2" } },
    })
    expect(createOptions({ ...input, apparmor: true }).HostConfig.SecurityOpt).toContain("apparmor=docker-default")
  })

  it("SC1 to SC3: the profile denies by default and has no hole of the known kinds", () => {
    const profile = JSON.parse(SECCOMP_PROFILE)
    expect(profile.defaultAction).toBe("SCMP_ACT_ERRNO")
    const never =
      "ptrace process_vm_readv process_vm_writev personality keyctl add_key request_key bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register mount umount2 pivot_root setns unshare chroot fsopen fsmount open_tree move_mount mount_setattr init_module finit_module delete_module kexec_load reboot swapon settimeofday clock_settime socket clone clone3 open_by_handle_at name_to_handle_at quotactl acct nfsservctl lookup_dcookie kcmp pidfd_getfd syslog"
    expect(never.split(" ").filter((name) => ALLOWED_CALLS.includes(name))).toEqual([])
    expect(
      profile.syscalls.filter(
        (rule: { names: string[]; args?: unknown }) => rule.names.includes("clone") && rule.args === undefined,
      ),
    ).toEqual([])
    expect(profile.archMap.flatMap((arch: { subArchitectures: string[] }) => arch.subArchitectures)).toEqual([])
  })
})
