/** The next version of the program, made of the shipped build: it reads one level of records more, and nothing else is different. */
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { SERVER_MAIN } from "./serverProcess.ts"

const DIST = join(SERVER_MAIN, "../../..")
const ROOT = join(DIST, "..")
const LEVEL_MAX = /(?<=RECORD_LEVEL_MAX = )(\d+)(?=;)/

export interface Build {
  readonly main: string
  readonly version: string
}

/** @returns its main file, below `folder` */
export function newerBuild(folder: string): Build {
  mkdirSync(folder, { recursive: true })
  cpSync(DIST, join(folder, "dist"), { recursive: true })
  symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"))
  const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { readonly version: string }
  const version = `${manifest.version}-next`
  writeFileSync(join(folder, "package.json"), JSON.stringify({ ...manifest, version }))
  const file = join(folder, "dist/core/recordLevel.js")
  const shipped = readFileSync(file, "utf8")
  const newer = shipped.replace(LEVEL_MAX, (level) => String(Number(level) + 1))
  if (newer === shipped) throw new Error(`${file} does not say which level it reads`)
  writeFileSync(file, newer)
  return { main: join(folder, "dist/gateway/main/berth.js"), version }
}
