import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, it } from "vitest"
import { WALL_NAMES, wallsAttack } from "../../actors/attacks/walls.ts"
import type { DockerOptions } from "../../actors/executor/docker/index.ts"
import type { DoctorLine } from "../../gateway/cli/host.ts"
import { diagnose } from "../../gateway/main/doctor.ts"
import { selfAttack } from "../../gateway/main/selfAttack.ts"
import { fakeHost } from "../support/cliHost.ts"
import { containersOf } from "../support/engineWitness.ts"
import { describeWithDocker } from "../support/require.ts"

type Profile = NonNullable<DockerOptions["profile"]>

const withHost =
  (change: (host: NonNullable<ReturnType<Profile>["HostConfig"]>) => object): Profile =>
  (body) => ({ ...body, HostConfig: { ...body.HostConfig, ...change(body.HostConfig ?? {}) } })

/** Holes in the sandbox, and a wall that must be found broken by each. */
const HOLES: readonly (readonly [string, Profile, string])[] = [
  [
    "our seccomp profile",
    withHost(({ SecurityOpt = [] }) => ({
      SecurityOpt: (SecurityOpt as string[]).filter((option) => !option.startsWith("seccomp")),
    })),
    "tracing",
  ],
  ["CapDrop", withHost(() => ({ CapDrop: [] })), "capabilities"],
  ["the read-only root", withHost(() => ({ ReadonlyRootfs: false })), "root file system"],
  [
    "no-new-privileges",
    withHost(({ SecurityOpt = [] }) => ({
      SecurityOpt: (SecurityOpt as string[]).filter((option) => option !== "no-new-privileges"),
    })),
    "privileges",
  ],
  ["groups of its own alone", withHost(() => ({ GroupAdd: ["0"] })), "becoming root"],
  ["the ulimits", withHost(() => ({ Ulimits: [] })), "limits"],
  [
    "the tmpfs options",
    withHost(() => ({ Tmpfs: { "/box": "rw,exec,mode=1777", "/tmp": "rw,suid,mode=1777" } })),
    "writable places",
  ],
  ["the masked paths", withHost(() => ({ MaskedPaths: [] })), "masked files"],
]

describeWithDocker("does the doctor see a hole in the sandbox?", (engine) => {
  let folder = ""
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "berth-hostile-doctor-"))
  })
  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true })
    expect(await containersOf(engine, "berth-doctor")).toEqual([])
  })

  const walls = (profile: Profile): Promise<readonly DoctorLine[]> =>
    selfAttack({ engine: engine.host, profile, attacks: [wallsAttack([])] })
  const broken = (lines: readonly DoctorLine[]) =>
    lines.filter(({ verdict }) => verdict !== "ok").map(({ name }) => name)

  it("none where there is none: every wall is told, and holds", async () => {
    const lines = await walls((body) => body)
    expect(broken(lines)).toEqual([])
    expect(lines.map(({ name }) => name)).toEqual(WALL_NAMES)
  })

  it.each(HOLES)("without %s an attack succeeds", async (_, profile, wall) => {
    const lines = await walls(profile)
    expect(broken(lines)).toContain(wall)
    expect(lines.find(({ name }) => name === wall)).toMatchObject({ kind: "attack", verdict: "fail" })
  })

  it("the command ends with 1 when an attack succeeds, and says which on a line of its own", async () => {
    const host = fakeHost({
      more: {
        doctor: () =>
          diagnose(folder, {
            engine: engine.host,
            profile: withHost(() => ({ ReadonlyRootfs: false })),
            attacks: [wallsAttack([])],
          }),
      },
    })
    expect(await host.run("doctor")).toBe(1)
    expect(host.out()).toMatch(/^fail attack: root file system: .*\/ is not read-only/m)
    expect(host.out()).toMatch(/^ok {3}attack: namespaces: contained/m)
  })

  it("a host file that a program could see is found", async () => {
    const lines = await selfAttack({ engine: engine.host, attacks: [wallsAttack(["/etc/hostname"])] })
    expect(broken(lines)).toEqual(["the host's files"])
  })

  it("an attack that cannot be tried is not passed over", async () => {
    const attack = { name: "nothing", request: { image: "berth-test-none:1", command: ["true"] }, judge: () => [] }
    const lines = await selfAttack({ engine: engine.host, attacks: [attack] })
    expect(lines).toMatchObject([{ kind: "floor", name: "attack: nothing", verdict: "fail" }])
  })
})
