/** What the engine says about itself, held against the floors. Pure. */
import type { EngineFacts } from "../../actors/executor/docker/facts.ts"
import type { DoctorLine } from "../cli/index.ts"

/** Versions below which escapes are known (docs/security advisories of runc, containerd and Docker, November 2025). */
const FLOORS = { docker: ["29.5.1"], runc: ["1.2.8", "1.3.3"], containerd: ["1.7.32", "2.0.9"] } as const
/** The oldest line of kernels that still gets fixes. */
const KERNEL_FLOOR = "5.10"
/** Each container of any other driver is a copy of its whole image, or the driver is no longer maintained. */
const STORAGE_DRIVERS = ["overlay2", "overlayfs", "fuse-overlayfs", "btrfs", "zfs", "stargz", "windowsfilter"]
/** Between the engine's clock and ours, the way of the question taken off. */
const SKEW_MS_MAX = 2_000

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
  if (version === null) return { kind: "floor", name, verdict: "warn", detail: "the engine does not say" }
  const detail = `${version} (safe from ${floors.join(", ")})`
  return floorLine(name, isSafe(version, floors), {
    ok: detail,
    below: detail,
    hint: `Upgrade ${name}: older versions have known ways out of a container.`,
  })
}

/** A line that is well, or is not and says what to do. */
export const floorLine = (
  name: string,
  isWell: boolean,
  say: { readonly ok: string; readonly below: string; readonly hint: string },
): DoctorLine =>
  isWell
    ? { kind: "floor", name, verdict: "ok", detail: say.ok }
    : { kind: "floor", name, verdict: "fail", detail: say.below, hint: say.hint }

export const engineLines = (facts: EngineFacts): readonly DoctorLine[] => [
  versionLine("docker", facts.engineVersion, FLOORS.docker),
  versionLine("runc", facts.runcVersion, FLOORS.runc),
  versionLine("containerd", facts.containerdVersion, FLOORS.containerd),
  versionLine("kernel", facts.kernelVersion, [KERNEL_FLOOR]),
  floorLine("cgroup", facts.cgroupVersion === "2", {
    ok: "version 2",
    below: "version 1",
    hint: "Boot with the unified hierarchy: limits are stricter there.",
  }),
  floorLine("seccomp", facts.seccomp, {
    ok: "filters system calls",
    below: "absent",
    hint: "Use an engine that was built with seccomp.",
  }),
  floorLine("lsm", facts.securityModules.length > 0, {
    ok: facts.securityModules.join(", "),
    below: "no security module is active",
    hint: "Enable AppArmor or SELinux.",
  }),
  floorLine("swap", facts.swapLimit, {
    ok: "is limited with the memory",
    below: "is not accounted for",
    hint: "Boot with swapaccount=1, or without swap: a program may otherwise use more than its memory.",
  }),
  floorLine("storage", STORAGE_DRIVERS.includes(facts.storageDriver), {
    ok: facts.storageDriver,
    below: facts.storageDriver,
    hint: `Use one of ${STORAGE_DRIVERS.slice(0, 3).join(", ")}.`,
  }),
  floorLine("live-restore", facts.liveRestore, {
    ok: "containers outlive the engine",
    below: "off",
    hint: 'Set "live-restore": true in daemon.json: then an upgrade of the engine ends no program.',
  }),
]

/** @param skewMs - by how much the engine's clock is ahead of ours */
export const clockLine = (skewMs: number): DoctorLine =>
  floorLine("clock", Math.abs(skewMs) <= SKEW_MS_MAX, {
    ok: `the engine's and ours are ${Math.abs(Math.round(skewMs))} ms apart`,
    below: `the engine's and ours are ${Math.abs(Math.round(skewMs))} ms apart`,
    hint: "Synchronise both machines: times of starts and ends come from both.",
  })
