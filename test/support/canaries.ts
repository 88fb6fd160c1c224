/**
 * Values that must be nowhere, and what is searched for them once all suites have ended. A suite plants canaries, uses them as
 * secrets, and leaves everything that a server keeps, says or shows in `evidence`; test/support/canarySearch.ts searches it.
 *
 *   CN1. A planted value is looked for in its plain form and in the encodings that something of ours might put it in.
 *   CN2. Bait is a value that must be found: a search that reaches nothing would find no canary either.
 */
import { randomBytes } from "node:crypto"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { inject } from "vitest"

declare module "vitest" {
  export interface ProvidedContext {
    /** Folder of this run's canaries and evidence; the empty text where nobody searches. */
    readonly canaries: string
  }
}

const plantIn = (kind: "planted" | "bait", label: string): string => {
  const value = `${kind}-${label}-${randomBytes(12).toString("hex")}`
  const folder = join(inject("canaries"), kind)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, `${label}-${randomBytes(4).toString("hex")}`), value)
  return value
}

/** A value that must be in no evidence. @param label - of `[a-z-]`, says in a report whose it was */
export const plantCanary = (label: string): string => plantIn("planted", label)

/** CN2. A value that must be in the evidence. */
export const layBait = (label: string): string => plantIn("bait", label)

/** A folder of this name whose files are searched, whatever they are; it outlives the suite. */
export function evidence(name: string): string {
  const folder = join(inject("canaries"), "evidence", name)
  mkdirSync(folder, { recursive: true })
  return folder
}
