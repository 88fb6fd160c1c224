/** The command line against a real door: a server over a fake TaskService, a folder with a program, and hosts for it. */
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { AttemptResult } from "../../core/task/result.ts"
import { type FakeHost, fakeHost, type FakeHostOptions } from "./cliHost.ts"
import { settle } from "./clock.ts"
import { type Door, openDoor } from "./door.ts"
import { type FakeProgram, fakeProgram } from "./fakeProgram.ts"

export interface CliDoor {
  readonly door: Door
  readonly folder: string
  /** A program in the folder. */
  readonly file: string
  /** A host whose data directory has this server. */
  readonly host: (more?: FakeHostOptions) => Promise<FakeHost>
  /** Waits for the next submit and its watcher, and gives the program that was submitted. */
  readonly nextProgram: () => Promise<FakeProgram>
  /** `berth run` with these flags, and the program's life. */
  readonly run: (
    host: FakeHost,
    argv: readonly string[],
    ends: Partial<AttemptResult>,
    print?: (program: FakeProgram) => void,
  ) => Promise<number>
  readonly close: () => Promise<void>
}

export async function openCliDoor(): Promise<CliDoor> {
  const door = await openDoor()
  const folder = await mkdtemp(join(tmpdir(), "berth-cli-"))
  const file = join(folder, "hello.py")
  await writeFile(file, "print('hello')\n")
  const nextProgram = async (): Promise<FakeProgram> => {
    const before = door.tasks.submitted.length
    while (door.tasks.submitted.length === before) await settle(1)
    while (door.tasks.watching() === 0) await settle(1)
    const event = door.tasks.log.findLast((each) => each.type === "state" && each.facts.includes("submitted"))
    if (event?.type !== "state") throw new Error("nothing was submitted")
    return fakeProgram(door.tasks, event.task)
  }
  return {
    door,
    folder,
    file,
    host: async (more = {}) =>
      fakeHost({ server: { url: door.url, token: await door.token("ann", { role: "admin" }) }, ...more }),
    nextProgram,
    run: async (host, argv, ends, print) => {
      const code = host.run("run", file, ...argv)
      const program = await nextProgram()
      program.start()
      print?.(program)
      program.end(ends)
      return code
    },
    close: async () => {
      await door.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
