/** The command line as a user runs it: the built program, a process of its own, its own data directory. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process"
import { join } from "node:path"
import type { TaskOutcome } from "../../gateway/client/index.ts"
import { ROOT } from "./sourceTree.ts"

export const CLI_MAIN = join(ROOT, "dist/gateway/main/berth.js")
/** Longer than anything here takes: who waits longer has found a hang. */
const WAIT_MS = 60_000

export interface CliOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: string
}

export interface CliEnded {
  /** As a shell would tell it; null when a signal ended the process. */
  readonly code: number | null
  readonly out: string
  readonly err: string
}

export interface CliProcess {
  readonly child: ChildProcessWithoutNullStreams
  readonly ended: Promise<CliEnded>
  /** Resolves when this stands in the stream; rejects when the process ends without it. */
  readonly says: (stream: "out" | "err", text: string) => Promise<void>
}

/** What the machine's own environment may say to the command line must not decide a test. */
const ownEnvironment = (): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("BERTH_")))

/** Starts `berth …`. */
export function startCli(argv: readonly string[], options: CliOptions = {}): CliProcess {
  const child = spawn(process.execPath, [CLI_MAIN, ...argv], {
    cwd: options.cwd ?? ROOT,
    env: { ...ownEnvironment(), ...options.env },
  })
  const text = { out: "", err: "" }
  let heard: () => void = () => {}
  const listen = (stream: "out" | "err", source: NodeJS.ReadableStream) => {
    source.setEncoding("utf8")
    source.on("data", (chunk: string) => {
      text[stream] += chunk
      heard()
    })
  }
  listen("out", child.stdout)
  listen("err", child.stderr)
  // A program that reads nothing may be gone before its input is.
  child.stdin.on("error", () => {})
  child.stdin.end(options.stdin ?? "")
  const hung = setTimeout(() => child.kill("SIGKILL"), WAIT_MS)
  let isOver = false
  const ended = new Promise<CliEnded>((resolve) => {
    child.once("close", (code) => {
      clearTimeout(hung)
      isOver = true
      heard()
      resolve({ code, ...text })
    })
  })
  const says = (stream: "out" | "err", wanted: string): Promise<void> =>
    new Promise((resolve, reject) => {
      heard = () => {
        if (text[stream].includes(wanted)) resolve()
        else if (isOver) reject(new Error(`ended without ${JSON.stringify(wanted)}\n${text.out}\n${text.err}`))
      }
      heard()
    })
  return { child, ended, says }
}

/** Runs `berth …` to its end. */
export const runCli = (argv: readonly string[], options: CliOptions = {}): Promise<CliEnded> =>
  startCli(argv, options).ended

/** The last line of standard error, which `--json` makes an object. */
export const lastLine = <A = TaskOutcome>(text: string): A => JSON.parse(text.trimEnd().split("\n").at(-1) ?? "") as A

/** Every line of an answer, as objects. */
export const jsonLines = <A>(text: string): readonly A[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as A)
