import { access, constants, mkdir, statfs } from "node:fs/promises"
import { Effect } from "effect"
import { engineFactsOf, pingEngine } from "../../actors/executor/docker/ping.ts"
import type { EngineFacts } from "../../actors/executor/docker/facts.ts"
import type { DoctorLine } from "../cli/index.ts"
import { readLock } from "../../store/sqlite/index.ts"
import { VERSION } from "./version.ts"

/** Versions below which escapes are known (docs/security advisories of runc, containerd and Docker, November 2025). */
const FLOORS = { docker: ["29.5.1"], runc: ["1.2.8", "1.3.3"], containerd: ["1.7.32", "2.0.9"] } as const
const NODE_FLOOR = "20.19.0"
const ROOM_BYTES_MIN = 512 * 1024 * 1024

const numbers = (version: string): readonly number[] => (/\d+(\.\d+)*/.exec(version)?.[0] ?? "0").split(".").map(Number)

/** Numeric comparison of dotted versions; what is missing counts as 0. */
export function isAtLeast(version: string, floor: string): boolean {
  const [have, want] = [numbers(version), numbers(floor)]
  for (let index = 0; index < Math.max(have.length, want.length); index += 1) {
    const difference = (have[index] ?? 0) - (want[index] ?? 0)
    if (difference !== 0) return difference > 0
  }
  return true
}

/** A release line has its own floor: 1.2.9 is fine although 1.3.3 is one, 1.3.0 is not. */
export function isSafe(version: string, floors: readonly string[]): boolean {
  const line = floors.find((floor) => numbers(floor).slice(0, 2).join(".") === numbers(version).slice(0, 2).join("."))
  return line === undefined ? isAtLeast(version, floors.at(-1) ?? "0") : isAtLeast(version, line)
}

const versionLine = (name: string, version: string | null, floors: readonly string[]): DoctorLine => {
  if (version === null) return { name, verdict: "warn", detail: "the engine does not say" }
  const detail = `${version} (safe from ${floors.join(", ")})`
  return isSafe(version, floors)
    ? { name, verdict: "ok", detail }
    : { name, verdict: "warn", detail, hint: `Upgrade ${name}: older versions have known ways out of a container.` }
}

const flag = (name: string, isOn: boolean, on: string, off: string, hint: string): DoctorLine =>
  isOn ? { name, verdict: "ok", detail: on } : { name, verdict: "warn", detail: off, hint }

/** What the engine says about itself, held against the floors. Pure. */
export const engineLines = (facts: EngineFacts): readonly DoctorLine[] => [
  versionLine("docker", facts.engineVersion, FLOORS.docker),
  versionLine("runc", facts.runcVersion, FLOORS.runc),
  versionLine("containerd", facts.containerdVersion, FLOORS.containerd),
  { name: "kernel", verdict: "ok", detail: facts.kernelVersion },
  flag(
    "cgroup",
    facts.cgroupVersion === "2",
    "version 2",
    "version 1",
    "Boot with the unified hierarchy: limits are stricter there.",
  ),
  facts.seccomp
    ? { name: "seccomp", verdict: "ok", detail: "filters system calls" }
    : { name: "seccomp", verdict: "fail", detail: "absent", hint: "Use an engine that was built with seccomp." },
  flag(
    "lsm",
    facts.securityModules.length > 0,
    facts.securityModules.join(", "),
    "no security module is active",
    "Enable AppArmor or SELinux.",
  ),
  flag(
    "live-restore",
    facts.liveRestore,
    "containers outlive the engine",
    "off",
    'Set "live-restore": true in daemon.json: then an upgrade of the engine ends no program.',
  ),
]

const engineDiagnosis = (engine: string): Effect.Effect<readonly DoctorLine[]> =>
  pingEngine(engine).pipe(
    Effect.andThen(engineFactsOf(engine)),
    Effect.map((facts): readonly DoctorLine[] => [
      { name: "engine", verdict: "ok", detail: engine },
      ...engineLines(facts),
    ]),
    Effect.catch((error) =>
      Effect.succeed<readonly DoctorLine[]>([
        {
          name: "engine",
          verdict: "fail",
          detail: `${engine}: ${error.message}`,
          hint: "Start Docker, or name its socket in DOCKER_HOST.",
        },
      ]),
    ),
  )

async function dataDirLines(dataDir: string): Promise<readonly DoctorLine[]> {
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 })
    await access(dataDir, constants.W_OK)
    const { bavail, bsize } = await statfs(dataDir)
    const freeBytes = bavail * bsize
    const server = readLock(dataDir)
    return [
      {
        name: "data",
        verdict: "ok",
        detail: `${dataDir}${server?.url ? `, served at ${server.url} by process ${server.pid}` : ""}`,
      },
      flag(
        "room",
        freeBytes >= ROOM_BYTES_MIN,
        `${Math.floor(freeBytes / 1024 / 1024)} MiB free`,
        `only ${Math.floor(freeBytes / 1024 / 1024)} MiB free`,
        "Free some space: submits are refused when the disk is full.",
      ),
    ]
  } catch (error) {
    return [
      {
        name: "data",
        verdict: "fail",
        detail: `${dataDir} cannot be written: ${error instanceof Error ? error.message : String(error)}`,
        hint: "Choose another with --data.",
      },
    ]
  }
}

/** Everything that the doctor looks at, a line each. */
export async function diagnose(dataDir: string, engine: string): Promise<readonly DoctorLine[]> {
  const node = process.versions.node
  return [
    { name: "berth", verdict: "ok", detail: VERSION },
    flag("node", isAtLeast(node, NODE_FLOOR), node, `${node} is older than ${NODE_FLOOR}`, "Upgrade Node."),
    ...(await dataDirLines(dataDir)),
    ...(await Effect.runPromise(engineDiagnosis(engine))),
  ]
}
