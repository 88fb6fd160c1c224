import { readdirSync, readFileSync } from "node:fs"
import { join, relative } from "node:path"

/** The folders that hold code, in the order of what they may know. */
export const CODE_FOLDERS = ["core", "store", "actors", "gateway", "test", "bench"] as const

export const ROOT = join(import.meta.dirname, "../..")

export interface SourceFile {
  /** Relative to the root, with `/`. */
  readonly path: string
  readonly text: string
}

const walk = (folder: string): readonly string[] =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    return entry.isDirectory() ? walk(path) : [path]
  })

/** Every file below the code folders whose name ends as given. */
export const sourceFiles = (ending = ".ts"): readonly SourceFile[] =>
  CODE_FOLDERS.flatMap((folder) => walk(join(ROOT, folder)))
    .filter((path) => path.endsWith(ending))
    .map((path) => ({ path: relative(ROOT, path), text: readFileSync(path, "utf8") }))

/** Takes comments and the contents of strings away, so that a rule about code does not trip over words. Lines are kept. */
export const codeOnly = (text: string): string =>
  text.replaceAll(
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`/g,
    (match) =>
      (match.startsWith("/") ? "" : (match[0] ?? "")) +
      "\n".repeat(match.split("\n").length - 1) +
      (match.startsWith("/") ? "" : (match[0] ?? "")),
  )
