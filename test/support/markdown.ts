import { readFileSync } from "node:fs"
import { join } from "node:path"
import { ROOT } from "./sourceTree.ts"

/** One fenced block: the first word after the fence says the language, the others what a test may do with it. */
export interface Fence {
  readonly language: string
  readonly marks: readonly string[]
  readonly text: string
}

export const readDoc = (name: string): string => readFileSync(join(ROOT, name), "utf8")

/** All fenced blocks of a document, in order. */
export const fencesOf = (markdown: string): readonly Fence[] =>
  [...markdown.matchAll(/^```([^\n]*)\n([\s\S]*?)^```$/gm)].map(([, info = "", text = ""]) => {
    const [language = "", ...marks] = info.trim().split(/\s+/)
    return { language, marks, text }
  })

/** The one block with this mark. */
export function fenceMarked(markdown: string, mark: string): Fence {
  const [found, ...others] = fencesOf(markdown).filter((fence) => fence.marks.includes(mark))
  if (found === undefined || others.length > 0) throw new Error(`there must be one block marked "${mark}"`)
  return found
}

/** Rows of the first table below a line of text, as the cells between the bars, without head and rule. */
export function tableAfter(markdown: string, line: string): readonly (readonly string[])[] {
  const from = markdown.indexOf(line)
  if (from < 0) throw new Error(`there is no "${line}"`)
  const [table = ""] = /(?:^\|[^\n]*\|\n)+/m.exec(markdown.slice(from)) ?? []
  return table
    .trim()
    .split("\n")
    .slice(2)
    .map((row) =>
      row
        .slice(1, -1)
        .split("|")
        .map((cell) => cell.trim()),
    )
}

/** Targets of all links that lead into the repository, without their anchors. */
export const linksOf = (markdown: string): readonly string[] =>
  [...markdown.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = ""]) => target.replace(/#.*$/, ""))
    .filter((target) => target !== "" && !/^[a-z]+:/.test(target))
