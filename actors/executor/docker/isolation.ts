import { ISOLATIONS, type Isolation } from "../../../core/words.ts"

/**
 * Isolation classes by the names that engines give to their runtimes. Pure.
 *
 *   IS1. A class that the engine has no runtime of is never replaced by another one.
 *   IS2. `runc` is what shares the host's kernel: under that name, or as the engine's default where that is none of the others.
 */

/** The first one that the engine has is taken. Names with dots are those of containerd's shims. */
const NAMES: Readonly<Record<Isolation, readonly string[]>> = {
  runc: ["runc", "crun", "io.containerd.runc.v2"],
  runsc: ["runsc", "io.containerd.runsc.v1", "gvisor"],
  kata: ["kata", "kata-runtime", "kata-qemu", "kata-clh", "kata-fc", "io.containerd.kata.v2"],
}

interface Runtimes {
  readonly runtimes: readonly string[]
  readonly defaultRuntime: string
}

/** @returns the engine's name of the runtime; null when it has none of this class */
export function runtimeOf(isolation: Isolation, { defaultRuntime, runtimes }: Runtimes): string | null {
  const named = NAMES[isolation].find((name) => runtimes.includes(name))
  if (named !== undefined) return named
  const isForeign = [...NAMES.runsc, ...NAMES.kata].includes(defaultRuntime)
  return isolation === "runc" && !isForeign && runtimes.includes(defaultRuntime) ? defaultRuntime : null
}

export const isolationsOf = (has: Runtimes): readonly Isolation[] =>
  ISOLATIONS.filter((isolation) => runtimeOf(isolation, has) !== null)
