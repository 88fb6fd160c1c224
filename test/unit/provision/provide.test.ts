import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { findNats } from "../../../gateway/provision/nats.ts"
import type { Outcome } from "../../../gateway/provision/outcome.ts"
import { provideUnderLock } from "../../../gateway/provision/provide.ts"
import { provideNats } from "../../../gateway/provision/provideNats.ts"
import type { ProvisionRequest } from "../../../gateway/provision/request.ts"

const request = (strict: boolean): ProvisionRequest => ({
  json: true,
  runtimes: [],
  nats: ["newest", "2.10"],
  strict: { docker: false, nats: strict },
})

describe("provisioning that nobody insists on", () => {
  let folder = ""
  let reported: Outcome[] = []
  const report = { note: () => undefined, outcome: (outcome: Outcome) => void reported.push(outcome) }

  /** A program that stands in front of the machine's own of that name. */
  const plant = (name: string, script: string): void => {
    writeFileSync(join(folder, "bin", name), `#!/bin/sh\n${script}\n`)
    chmodSync(join(folder, "bin", name), 0o755)
  }

  /** An apt that has one source, writes down how it is called, and ends an update with what is in `update`. */
  const plantApt = (update: string): void => {
    plant("dpkg-deb", "exit 1")
    plant(
      "apt-get",
      `echo "$*" >> '${folder}/calls'
case "$*" in
  *indextargets*) echo 'Debian|http://mirror.example/debian/|bookworm|main' ;;
  *" update "*) ${update} ;;
esac`,
    )
  }

  const calls = (): readonly string[] =>
    existsSync(join(folder, "calls")) ? readFileSync(join(folder, "calls"), "utf8").trim().split("\n") : []
  const updates = (): readonly string[] => calls().filter((call) => call.includes(" update "))

  const osRelease = (id: string): string => {
    const path = join(folder, "os-release")
    writeFileSync(path, `NAME=x\nID=${id}\n`)
    return path
  }

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "berth-provide-"))
    reported = []
    mkdirSync(join(folder, "bin"))
    vi.stubEnv("PATH", [join(folder, "bin"), process.env["PATH"]].join(delimiter))
    vi.stubEnv("BERTH_STATE_DIR", join(folder, "state"))
    plant("nats-server", "echo 'nats-server: v2.0.0'")
  })
  afterEach(() => {
    vi.unstubAllEnvs()
    rmSync(folder, { recursive: true, force: true })
  })

  it("has a broker missing, and no more than that, where the state folder cannot be written", async () => {
    plantApt("exit 0")
    writeFileSync(join(folder, "state"), "no folder")
    const outcomes = await provideNats(["newest", "2.10"], report, osRelease("debian"))
    expect(outcomes).toEqual([
      {
        what: "nats-server",
        status: "missing",
        detail: expect.stringMatching(/^install nats-server .*(?:ENOTDIR|EEXIST)/),
      },
      { what: "nats-server 2.10", status: "missing", detail: expect.stringContaining(join(folder, "state")) },
    ])
    expect(reported).toEqual(outcomes)
  })

  it("finds no server in a cache that cannot be read", async () => {
    mkdirSync(join(folder, "state"))
    writeFileSync(join(folder, "state/nats"), "no folder")
    expect(await findNats()).toEqual([])
  })

  it.each([
    "E: Failed to fetch http://mirror.example/InRelease  Could not resolve 'mirror.example'",
    "E: Failed to fetch http://mirror.example/InRelease  Temporary failure resolving 'mirror.example'",
    "E: Failed to fetch http://mirror.example/InRelease  Could not connect to mirror.example:80 (10.0.0.1), connection timed out",
    "E: Failed to fetch http://mirror.example/InRelease  Cannot initiate the connection to mirror.example:80 (10.0.0.1).",
  ])("asks a mirror once that does not answer, whatever else was wanted from it: %s", async (line) => {
    plantApt(`echo "${line}" >&2; echo 'E: Some index files failed to download.' >&2; exit 100`)
    const outcomes = await provideNats(["newest", "2.10"], report, osRelease("debian"))
    expect(updates()).toHaveLength(1)
    expect(updates()[0]).toContain("-o Acquire::Retries=0")
    expect(outcomes.map(({ status }) => status)).toEqual(["missing", "missing"])
    for (const { detail } of outcomes) expect(detail).toContain(line.replace(/^E: /, ""))
  })

  it("asks for the other releases where a mirror answers that it has not this one", async () => {
    plantApt('echo "E: The repository does not have a Release file." >&2; exit 100')
    await provideNats(["newest", "2.10"], report, osRelease("debian"))
    expect(updates()).toHaveLength(5)
  })

  it("leaves the apt of another distribution alone", async () => {
    plantApt("exit 0")
    const outcomes = await provideNats(["newest"], report, osRelease("ubuntu"))
    expect(outcomes).toEqual([
      { what: "nats-server", status: "missing", detail: expect.stringMatching(/^install nats-server .* on PATH$/) },
    ])
    expect(calls()).toEqual([])
  })

  it.each([
    ["cannot be written", (lock: string) => writeFileSync(join(lock, ".."), "no folder")],
    [
      "is held for too long",
      (lock: string) => {
        mkdirSync(join(lock, ".."))
        writeFileSync(lock, `${process.pid}\n`)
      },
    ],
  ])("has brokers missing where the lock %s, and a failure only for who asked for it", async (_, spoil) => {
    const lock = join(folder, "locks", "provision.lock")
    spoil(lock)
    for (const strict of [false, true]) {
      reported = []
      const { ok, outcomes } = await provideUnderLock(request(strict), report, { file: lock, waitMsMax: 0 })
      expect(outcomes).toEqual([
        { what: "nats-server", status: "missing", detail: expect.stringContaining("locks") },
        { what: "nats-server 2.10", status: "missing", detail: expect.stringContaining("locks") },
      ])
      expect(reported).toEqual(outcomes)
      expect(ok).toBe(!strict)
    }
  })

  it("finds the broker that is there without the lock that another would need", async () => {
    plant("nats-server", "echo 'nats-server: v2.11.0'")
    writeFileSync(join(folder, "locks"), "no folder")
    const lock = { file: join(folder, "locks", "provision.lock"), waitMsMax: 0 }
    const { outcomes } = await provideUnderLock(request(false), report, lock)
    expect(outcomes.map(({ status }) => status)).toEqual(["present", "missing"])
  })

  it("says of the engine, too, that it is missing where there is no lock to get one under", async () => {
    vi.stubEnv("DOCKER_HOST", `unix://${join(folder, "no.sock")}`)
    writeFileSync(join(folder, "locks"), "no folder")
    const lock = { file: join(folder, "locks", "provision.lock"), waitMsMax: 0 }
    const wanted = { ...request(false), runtimes: ["python"], nats: [] }
    expect(await provideUnderLock(wanted, report, lock)).toEqual({
      ok: true,
      outcomes: [{ what: "docker engine and images", status: "missing", detail: expect.stringContaining("locks") }],
    })
    const strict = { docker: true, nats: false }
    expect(await provideUnderLock({ ...wanted, strict }, report, lock)).toMatchObject({ ok: false })
  })

  it("goes on past an engine that answers nonsense, and fails for who asked for one", async () => {
    const engine = createServer((asked, reply) => reply.end(asked.url === "/version" ? '{"Version":"1"}' : "<html>"))
    await new Promise<void>((resolve) => engine.listen(join(folder, "engine.sock"), resolve))
    try {
      vi.stubEnv("DOCKER_HOST", `unix://${join(folder, "engine.sock")}`)
      const lock = { file: join(folder, "locks", "provision.lock"), waitMsMax: 0 }
      for (const docker of [false, true]) {
        const wanted = { ...request(false), runtimes: ["python"], nats: [], strict: { docker, nats: false } }
        const { ok, outcomes } = await provideUnderLock(wanted, report, lock)
        expect(outcomes.map(({ what, status }) => [what, status])).toEqual([
          ["docker engine", "present"],
          ["docker engine and images", "failed"],
        ])
        expect(ok).toBe(!docker)
      }
      expect(reported).toHaveLength(4)
    } finally {
      engine.close()
    }
  })
})
