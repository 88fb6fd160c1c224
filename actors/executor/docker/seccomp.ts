import { createHash } from "node:crypto"
import { ALLOWED_CALLS } from "./syscalls.ts"

/**
 * Our seccomp profile, as the engine takes it: deny by default, and
 *
 *   SC1. `socket` only for AF_UNIX, AF_INET and AF_INET6 (no network is attached; these let programs start).
 *   SC2. `clone` without any namespace flag; `clone3`, whose flags lie in memory that a filter cannot read, is ENOSYS, so
 *        that libraries fall back to `clone`.
 *   SC3. Native calls only: no other architecture's numbers.
 */

const EPERM = 1
const ENOSYS = 38
/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET; NEWTIME shares its bit with the exit signal. */
const NAMESPACE_FLAGS = 0x7e020000
const SOCKET_FAMILIES = { unix: 1, inet: 2, inet6: 10 } as const

interface Rule {
  readonly names: readonly string[]
  readonly action: "SCMP_ACT_ALLOW" | "SCMP_ACT_ERRNO"
  readonly errnoRet?: number
  readonly args?: readonly {
    readonly index: number
    readonly value: number
    readonly valueTwo: number
    readonly op: "SCMP_CMP_EQ" | "SCMP_CMP_MASKED_EQ"
  }[]
}

const rules: readonly Rule[] = [
  { names: ALLOWED_CALLS, action: "SCMP_ACT_ALLOW" },
  ...Object.values(SOCKET_FAMILIES).map(
    (family): Rule => ({
      names: ["socket"],
      action: "SCMP_ACT_ALLOW",
      args: [{ index: 0, value: family, valueTwo: 0, op: "SCMP_CMP_EQ" }],
    }),
  ),
  {
    names: ["clone"],
    action: "SCMP_ACT_ALLOW",
    args: [{ index: 0, value: NAMESPACE_FLAGS, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" }],
  },
  { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: ENOSYS },
]

/** The profile as JSON text: exactly what `SecurityOpt` carries, and what inspect must show again. */
export const SECCOMP_PROFILE = JSON.stringify({
  defaultAction: "SCMP_ACT_ERRNO",
  defaultErrnoRet: EPERM,
  archMap: [
    { architecture: "SCMP_ARCH_X86_64", subArchitectures: [] },
    { architecture: "SCMP_ARCH_AARCH64", subArchitectures: [] },
  ],
  syscalls: rules,
})

/** SHA-256 of the profile, the first 16 hex digits: enough to name it in results and labels. */
export const SECCOMP_HASH = createHash("sha256").update(SECCOMP_PROFILE).digest("hex").slice(0, 16)
