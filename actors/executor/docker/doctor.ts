import type { EngineFacts } from "./facts.ts"

/**
 * Compares an engine with the floors below which work from others should not be accepted. Pure: facts in, lines out.
 *
 * The version floors are the first releases in which the known ways out of a container, and the known harm by archive
 * calls, are repaired.
 */
export interface DoctorLine {
  readonly check: string
  /** `ok`: at or above the floor. `below`: works, but is less safe than it could be. `failed`: the sandbox cannot be had. */
  readonly status: "ok" | "below" | "failed"
  readonly text: string
}

/** Release lines with their own repairs; anything newer than the last one is fine. */
const FLOORS = {
  engine: ["29.5.1"],
  runc: ["1.2.8", "1.3.3"],
  containerd: ["1.7.32", "2.0.9"],
} as const

type Version = readonly [number, number, number]

/** @returns null for what has no numbers; distribution suffixes and `-rc` are ignored */
export function parseVersion(text: string): Version | null {
  const found = /^v?(\d+)\.(\d+)(?:\.(\d+))?/.exec(text)
  return found === null ? null : [Number(found[1]), Number(found[2]), Number(found[3] ?? 0)]
}

const compare = (a: Version, b: Version): number => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]

/** At or above the floor of its own release line, or of a newer line than the last floor's. */
export function isAtFloor(text: string, floors: readonly string[]): boolean {
  const version = parseVersion(text)
  const parsed = floors.map(parseVersion).filter((floor) => floor !== null)
  const last = parsed.at(-1)
  if (version === null || last === undefined) return false
  if (compare(version, last) >= 0) return true
  return parsed.some((floor) => floor[0] === version[0] && floor[1] === version[1] && compare(version, floor) >= 0)
}

const line = (check: string, fine: boolean, text: string): DoctorLine => ({
  check,
  status: fine ? "ok" : "below",
  text,
})

function versionLine(check: keyof typeof FLOORS, version: string | null): DoctorLine {
  const wanted = FLOORS[check].join(" or ")
  if (version === null) return line(check, false, `version unknown; the floor is ${wanted}`)
  const fine = isAtFloor(version, FLOORS[check])
  return line(check, fine, fine ? version : `${version} is below the floor, ${wanted}`)
}

/** One line per check, in the order in which they are worth reading. */
export function examine(facts: EngineFacts): readonly DoctorLine[] {
  const modules = facts.securityModules.join(", ")
  return [
    versionLine("engine", facts.engineVersion),
    versionLine("runc", facts.runcVersion),
    versionLine("containerd", facts.containerdVersion),
    line("kernel", true, `${facts.kernelVersion} (${facts.architecture})`),
    facts.seccomp
      ? line("seccomp", true, "the engine filters system calls")
      : { check: "seccomp", status: "failed", text: "the engine cannot filter system calls" },
    line(
      "cgroup",
      facts.cgroupVersion === "2",
      `version ${facts.cgroupVersion}${facts.cgroupVersion === "2" ? "" : "; 2 is the floor"}`,
    ),
    line("security module", modules !== "", modules === "" ? "neither AppArmor nor SELinux is active" : modules),
    line("swap limit", facts.swapLimit, facts.swapLimit ? "swap counts as memory" : "the kernel does not limit swap"),
    line(
      "live restore",
      facts.liveRestore,
      facts.liveRestore ? "programs survive a restart of the engine" : "a restart of the engine ends all programs",
    ),
    line("runtimes", facts.runtimes.length > 0, facts.runtimes.join(", ")),
  ]
}

/** True when nothing is below its floor; work from others is refused otherwise, in strict mode. */
export const isSafe = (lines: readonly DoctorLine[]): boolean => lines.every(({ status }) => status === "ok")
