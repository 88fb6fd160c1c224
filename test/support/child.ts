/** Other processes in the hands of a test. */
import { type ChildProcess, spawn } from "node:child_process"
import { createInterface } from "node:readline"

export interface Child {
  readonly process: ChildProcess
  readonly lines: readonly string[]
  /** Resolves when a line of stdout satisfies `wanted`, or when the process has ended. */
  readonly until: (wanted: (line: string) => boolean) => Promise<void>
  /** Resolves when `count` lines were written, or when the process has ended. */
  readonly untilLines: (count: number) => Promise<void>
  /** Ends it without a chance to tidy up, and waits. */
  readonly kill: () => Promise<void>
  readonly ended: Promise<number | null>
}

/** Runs one of our TypeScript files as a process of its own. */
export function startChild(script: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Child {
  const child = spawn(process.execPath, ["--import", "tsx", script, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...env },
  })
  const lines: string[] = []
  const watchers = new Set<() => void>()
  const look = (): void => {
    for (const watcher of [...watchers]) watcher()
  }
  let isOver = false
  const reader = createInterface({ input: child.stdout })
  reader.on("line", (line) => {
    lines.push(line)
    look()
  })
  const ended = new Promise<number | null>((resolve) => {
    reader.on("close", () => {
      isOver = true
      look()
      if (child.exitCode !== null || child.signalCode !== null) resolve(child.exitCode)
      else child.on("exit", (code) => resolve(code))
    })
  })
  const when = (isTrue: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      const watcher = (): void => {
        if (!isTrue() && !isOver) return
        watchers.delete(watcher)
        resolve()
      }
      watchers.add(watcher)
      watcher()
    })
  return {
    process: child,
    lines,
    until: (wanted) => when(() => lines.some(wanted)),
    untilLines: (count) => when(() => lines.length >= count),
    kill: async () => {
      child.kill("SIGKILL")
      await ended
    },
    ended,
  }
}
