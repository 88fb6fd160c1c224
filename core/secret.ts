/** What a secret may be: it becomes an environment variable. */
import { berthError, type BerthError } from "./errors.ts"
import { LIMITS } from "./limits.ts"

export const SECRET_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/
export const SECRET_NAME_RULE =
  "1 to 128 of `A-Z a-z 0-9 _`, not beginning with a digit, and no variable that a shell keeps"

/** Read-only in shells that a program is started by, so they could only be passed on in arguments, which others may read. */
const KEPT_BY_SHELLS = new Set(["UID", "EUID", "PPID", "BASHOPTS", "BASH_VERSINFO", "SHELLOPTS"])

export const isSecretName = (name: string): boolean => SECRET_NAME.test(name) && !KEPT_BY_SHELLS.has(name)

/** What is wrong with a value, or undefined; the value is not in it. @param bytes - of the value in UTF-8 */
export function secretValueFault(value: string, bytes: number): string | undefined {
  if (value === "") return "must not be empty"
  if (value.includes("\u0000")) return "must not contain a NUL byte"
  return bytes > LIMITS.secretBytesMax ? `must be at most ${LIMITS.secretBytesMax} bytes` : undefined
}

/** @returns null when name and value are in bounds */
export function secretFault(name: string, value: string): BerthError | null {
  if (!isSecretName(name))
    return berthError("INVALID_PARAMS", `a secret's name must be ${SECRET_NAME_RULE}`, { path: "params.name" })
  const fault = secretValueFault(value, new TextEncoder().encode(value).length)
  return fault === undefined
    ? null
    : berthError("INVALID_PARAMS", `the value of ${name} ${fault}`, { path: "params.value" })
}
