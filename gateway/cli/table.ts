import { escapeControls } from "./escape.ts"

/** Columns of text, each as wide as its widest cell. Cells are escaped; the last column is not padded. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, ...rows].map((row) => row.map(escapeControls))
  const widths = head.map((_, column) => Math.max(...lines.map((line) => [...(line[column] ?? "")].length)))
  const show = (line: readonly string[]) =>
    line
      .map((cell, column) =>
        column === line.length - 1 ? cell : cell + " ".repeat((widths[column] ?? 0) - [...cell].length),
      )
      .join("  ")
      .trimEnd()
  return `${lines.map(show).join("\n")}\n`
}
