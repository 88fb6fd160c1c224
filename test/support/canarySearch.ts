/** Before and after all end-to-end suites: the folder for their canaries, and the search for them. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { TestProject } from "vitest/node"

/** A found value: where, and in which form. The value itself is not repeated. */
export interface Find {
  readonly label: string
  readonly form: string
  readonly path: string
}

/** Base64 of a text depends on where in its group of three it begins; the letters that its neighbours decide are left out. */
const base64Forms = (value: string): readonly string[] =>
  [0, 1, 2].map((before) => {
    const text = Buffer.from("x".repeat(before) + value).toString("base64")
    const whole = text.slice(Math.ceil((before * 4) / 3), Math.floor(((before + value.length) * 4) / 3))
    return whole.replaceAll("=", "")
  })

const formsOf = (value: string): readonly (readonly [string, string])[] => {
  const hex = Buffer.from(value).toString("hex")
  return [
    ["plain", value],
    ["hex", hex],
    ["HEX", hex.toUpperCase()],
    ["backwards", [...value].reverse().join("")],
    ["UTF-16", Buffer.from(value, "utf16le").toString("latin1")],
    ...base64Forms(value).flatMap((form, shift) => [
      [`base64 +${shift}`, form] as const,
      [`base64url +${shift}`, form.replaceAll("+", "-").replaceAll("/", "_")] as const,
    ]),
  ]
}

const filesBelow = (folder: string): readonly string[] =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name))
    : []

const valuesIn = (folder: string): readonly (readonly [string, string])[] =>
  filesBelow(folder).map((path) => [path.slice(folder.length + 1), readFileSync(path, "utf8")])

/** Every form of every value in every file below `folder`, names of files included. */
export function search(folder: string, values: readonly (readonly [string, string])[]): readonly Find[] {
  const finds: Find[] = []
  const wanted = values.map(([label, value]) => [label, formsOf(value)] as const)
  for (const path of filesBelow(folder)) {
    const bytes = readFileSync(path)
    for (const [label, forms] of wanted)
      for (const [form, text] of forms)
        if (bytes.includes(text, 0, "latin1") || path.includes(text)) finds.push({ label, form, path })
  }
  return finds
}

/** @returns what is wrong, a line each; nothing when no canary was planted */
export function verdict(folder: string): readonly string[] {
  const planted = valuesIn(join(folder, "planted"))
  const bait = valuesIn(join(folder, "bait"))
  const evidence = join(folder, "evidence")
  if (planted.length === 0) return []
  const taken = new Set(search(evidence, bait).map(({ label }) => label))
  return [
    ...search(evidence, planted).map(({ form, label, path }) => `${label} is in ${path} (${form})`),
    ...bait.filter(([label]) => !taken.has(label)).map(([label]) => `${label} should have been found, and was not`),
    ...(bait.length === 0 ? ["canaries were planted, and no bait was laid: nothing tells that the search works"] : []),
  ]
}

export function setup(project: TestProject): () => void {
  const folder = mkdtempSync(join(tmpdir(), "berth-canaries-"))
  project.provide("canaries", folder)
  return () => {
    const wrong = verdict(folder)
    if (wrong.length === 0) return rmSync(folder, { recursive: true, force: true })
    // Vitest reports what a teardown throws and ends with 0.
    process.exitCode = 1
    throw new Error(`secrets were left behind in ${folder}\n${wrong.join("\n")}`)
  }
}
