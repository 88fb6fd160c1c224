import type { TaskOutcome } from "../client/publicTypes.ts"
import type { Screen } from "./screen.ts"

/** One line of the table at the end. */
export interface Row {
  readonly task: string
  readonly shows: string
  /** Null where there was nothing to run it with. */
  readonly outcome: TaskOutcome | null
  /** What was expected and was not so; empty when all was. */
  readonly faults: readonly string[]
  /** In place of the outcome's own columns. */
  readonly note?: string
}

const HEAD = ["task", "what it shows", "status", "reason", "exit", "attempts", "wall", "cpu", "peak", "as expected"]

const cells = ({ outcome, shows, task, faults, note }: Row): readonly string[] => {
  if (outcome === null)
    return [task, shows, note ?? "-", "", "", "", "", "", "", note === undefined ? verdict(faults) : "-"]
  return [
    task,
    shows,
    outcome.status,
    outcome.reason ?? "-",
    outcome.signal ?? String(outcome.exitCode ?? "-"),
    String(outcome.attempt),
    milliseconds(outcome.wallMs),
    milliseconds(outcome.cpuMs),
    outcome.memoryPeakBytes === null ? "-" : `${(outcome.memoryPeakBytes / 1024 / 1024).toFixed(1)} MiB`,
    verdict(faults),
  ]
}

const verdict = (faults: readonly string[]): string => (faults.length === 0 ? "yes" : "NO")
const milliseconds = (ms: number | null): string => (ms === null ? "-" : `${Math.round(ms)} ms`)

/** Prints the table and what was not as expected; true when all was. */
export function printSummary(screen: Screen, rows: readonly Row[]): boolean {
  const lines = [HEAD, ...rows.map(cells)]
  const widths = HEAD.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? "").length)))
  const shown = (line: readonly string[]) =>
    line
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd()
  screen.line(screen.paint("bold", shown(HEAD)))
  screen.line(widths.map((width) => "-".repeat(width)).join("  "))
  for (const row of rows) {
    const text = shown(cells(row))
    screen.line(row.faults.length === 0 ? text : screen.paint("bad", text))
    for (const fault of row.faults) screen.line(screen.paint("bad", `  ${row.task}: ${fault}`))
  }
  return rows.every((row) => row.faults.length === 0)
}
