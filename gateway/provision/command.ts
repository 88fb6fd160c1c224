import { spawn } from "node:child_process"

/** How a program that provisioning ran has ended. `code` is null when it could not be started or was ended by force. */
export interface CommandResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface CommandOptions {
  readonly timeoutMs: number
  readonly cwd?: string
  /** Added to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>
}

/** Bytes of each stream that are kept for a message; provisioning never needs more. */
const OUTPUT_BYTES_MAX = 4 * 1024 * 1024

/** Runs a program to its end without a shell. Never rejects: a program that is missing is a result with code null. */
export const runCommand = (argv: readonly [string, ...string[]], options: CommandOptions): Promise<CommandResult> =>
  new Promise((resolve) => {
    const [program, ...args] = argv
    const child = spawn(program, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    })
    // Not `spawn`'s own: that one keeps this process alive to its end where the program is missing.
    const timer = setTimeout(() => child.kill("SIGKILL"), options.timeoutMs)
    const settle = (result: CommandResult): void => {
      clearTimeout(timer)
      resolve(result)
    }
    const collected = { stdout: "", stderr: "" }
    for (const stream of ["stdout", "stderr"] as const) {
      child[stream].setEncoding("utf8").on("data", (text: string) => {
        if (collected[stream].length < OUTPUT_BYTES_MAX) collected[stream] += text
      })
    }
    child.once("error", (error) => settle({ code: null, stdout: collected.stdout, stderr: error.message }))
    child.once("close", (code) => settle({ code, ...collected }))
  })

/** The last line that says something, for a message of one line. */
export const lastLine = (text: string): string => text.trim().split("\n").at(-1)?.trim() ?? ""
