import { accessSync, constants } from "node:fs"
import { delimiter, join } from "node:path"
import { berthError } from "../../../core/errors.ts"
import { commandsFor, type RuntimeCommands, runtimeByName } from "../../../core/runtime/catalogue.ts"
import type { Program } from "../../../core/task/spec.ts"

export interface HostCommand {
  /** Empty: nothing is to be compiled. */
  readonly compile: readonly string[]
  readonly run: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

/**
 * What is run on this host for a program of a runtime: the catalogue's commands with `/box` as the program's directory here,
 * and the host's own interpreters. The program's arguments are not touched.
 *
 * @param path - where interpreters are looked for, as in PATH
 * @throws BerthError RUNTIME_UNKNOWN
 */
export const hostCommand = (program: Extract<Program, { kind: "runtime" }>, box: string, path: string): HostCommand => {
  const runtime = runtimeByName(program.runtime)
  if (runtime === undefined) throw berthError("RUNTIME_UNKNOWN", `no runtime is called "${program.runtime}"`)
  const own = commandsFor(runtime, runtime.image, program.entry)
  const simple = commandsFor(runtime, runtime.localImage, program.entry)
  const { compile, run } = prefersLocal(simple, path) ? simple : own
  const here = (word: string): string => word.replaceAll("/box/", `${box}/`)
  return {
    compile: compile?.map(here) ?? [],
    run: [...run.map(here), ...program.args],
    env: { PATH: path, ...runtime.env, ...program.env },
  }
}

/** The commands of the small images suit older interpreters; they are taken where the host has the compiler that they need. */
const prefersLocal = (commands: RuntimeCommands, path: string): boolean => {
  const compiler = commands.compile?.[0]
  return compiler !== undefined && path.split(delimiter).some((folder) => isExecutable(join(folder, compiler)))
}

const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
