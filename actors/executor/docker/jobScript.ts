import type { Job } from "../../../core/ports/executor.ts"
import type { RuntimeCommands } from "../../../core/runtime/catalogue.ts"

/**
 * One job's part of the second shell program, which the supervisor's text follows: numbers, environment and commands. It only
 * defines; by itself it runs nothing.
 *
 *   JS1. Every value is in single quotes, in which a shell takes all bytes but NUL and the quote itself as they are.
 *   JS2. Names that a shell cannot export, or keeps for itself, go through `env`.
 */

const EXPORTABLE = /^[A-Za-z_][A-Za-z0-9_]*$/
/** Read-only in bash, also when it is called sh. */
const KEPT_BY_SHELLS = new Set(["UID", "EUID", "PPID", "BASHOPTS", "BASH_VERSINFO", "SHELLOPTS"])

export const quote = (value: string): string => `'${value.replaceAll("'", "'\\''")}'`

export interface JobScript {
  readonly nonce: string
  readonly env: Readonly<Record<string, string>>
  readonly commands: RuntimeCommands
  readonly hasStdin: boolean
  /** How long the container waits for its files to be taken after the program ended; 0: not at all. */
  readonly holdMs: number
  readonly spec: Pick<Job["spec"], "timeoutMs" | "graceMs">
}

/** Hundredths of a second, never 0: the bootstrap's unit. */
export const centisecondsOf = (ms: number): number => Math.max(1, Math.ceil(ms / 10))

/** Where the program's stdin lies in /box until it is opened. */
export const stdinName = (nonce: string): string => `.in-${nonce}`

export function jobScript(job: JobScript): string {
  const plain: string[] = []
  const through: string[] = []
  for (const [name, value] of Object.entries(job.env)) {
    if (EXPORTABLE.test(name) && !KEPT_BY_SHELLS.has(name)) plain.push(`export ${name}=${quote(value)}`)
    else through.push(quote(`${name}=${value}`))
  }
  const prefix = through.length === 0 ? "exec" : `exec env ${through.join(" ")}`
  const run = (argv: readonly string[]) => `${prefix} ${argv.map(quote).join(" ")}`
  const { compile } = job.commands
  return [
    `berth_n=${job.nonce}`,
    `berth_limit=${centisecondsOf(job.spec.timeoutMs)}`,
    `berth_grace=${centisecondsOf(job.spec.graceMs)}`,
    `berth_hold=${Math.ceil(job.holdMs / 1_000)}`,
    `berth_stdin=${job.hasStdin ? quote(`/box/${stdinName(job.nonce)}`) : "/dev/null"}`,
    `berth_compiled=${compile === undefined ? 0 : 1}`,
    ["berth_env() {", "unset OLDPWD", ...plain, "}"].join("\n"),
    compile === undefined ? "" : `berth_compile() {\n${run(compile)}\n}`,
    `berth_program() {\n${run(job.commands.run)}\n}`,
    "",
  ].join("\n")
}
