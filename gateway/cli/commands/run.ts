import type { Command } from "commander"
import type { TaskHandle, TaskOutcome } from "../../client/publicTypes.ts"
import { ArtifactsFolder } from "../artifactsFolder.ts"
import { attempt, attemptWithClient, type CommandContext, type CommonFlags, withServerFlags } from "../command.ts"
import { tellEnd } from "../ending.ts"
import { EXIT } from "../exitCode.ts"
import { follow } from "../follow.ts"
import type { Printer } from "../printer.ts"
import { type EmbedFlags, openSessionOrEmbed, type Session } from "../session.ts"
import { type TaskFlags, taskRequest, withTaskFlags } from "../taskFlags.ts"

type RunFlags = CommonFlags & TaskFlags & EmbedFlags & { readonly artifacts?: string }
type SubmitFlags = CommonFlags & TaskFlags & { readonly artifacts?: boolean }

/** `run` and `submit`. */
export function declareRun(program: Command, context: CommandContext): void {
  withServerFlags(withTaskFlags(program.command("run")))
    .description("run a file or folder, stay with it, and end with its exit code")
    .argument("[words...]", "FILE|FOLDER [ARGUMENTS…], or after --image: COMMAND …")
    .option("--artifacts <dir>", "write what the program leaves in /box/out into this folder")
    .option("--executor <name>", "where there is no server: docker or process")
    .option("--slots <number>", "where there is no server: programs at once")
    .option("--secrets-key-file <file>", "where there is no server: keys that secrets are sealed with")
    .action((words: string[], flags: RunFlags) =>
      attempt(context, flags, (printer) => run(words, flags, context, printer)),
    )
  withServerFlags(withTaskFlags(program.command("submit")))
    .description("submit a file or folder and print the task's id")
    .argument("[words...]", "FILE|FOLDER [ARGUMENTS…], or after --image: COMMAND …")
    .option("--artifacts", "keep what the program leaves in /box/out")
    .action((words: string[], flags: SubmitFlags) => submit(words, flags, context))
}

async function run(
  words: readonly string[],
  flags: RunFlags,
  context: CommandContext,
  printer: Printer,
): Promise<number> {
  const { host } = context
  // Before anything is run: a folder that cannot be written to is our failure, not the program's.
  const folder = flags.artifacts === undefined ? null : await ArtifactsFolder.open(flags.artifacts)
  const request = await taskRequest(words, flags, host)
  const session = await openSessionOrEmbed(flags, host)
  try {
    if (session.embedded === null && (flags.executor ?? flags.slots) !== undefined) {
      await printer.note("a server runs here already: --executor and --slots are for when there is none")
    }
    const handle = await session.client.submit(folder === null ? request : { ...request, artifacts: true })
    const outcome = await follow(handle, host, printer, { comeBack: comeBack(handle, session) })
    if (outcome === null) return await left(handle, printer)
    if (folder !== null) await writeArtifacts(handle, outcome, folder, printer)
    return await tellEnd(outcome, printer)
  } finally {
    await session.close()
  }
}

const submit = (words: readonly string[], flags: SubmitFlags, context: CommandContext): Promise<void> =>
  attemptWithClient(context, flags, async (client, printer) => {
    const request = await taskRequest(words, flags, context.host)
    const handle = await client.submit(flags.artifacts === true ? { ...request, artifacts: true } : request)
    await printer.answer({ id: handle.id, duplicate: handle.duplicate, task: handle.known }, `${handle.id}\n`)
    return EXIT.ok
  })

/** What to say when the first Ctrl-C takes us away. */
export function comeBack(handle: TaskHandle, session: Pick<Session, "embedded">): string {
  const again = `berth logs -f ${handle.id}`
  return session.embedded === null
    ? `left; the task goes on. To come back: ${again}\nCtrl-C again cancels it.`
    : `left; the task stays in ${session.embedded.dataDir} and goes on with the next \`berth serve\`. To come back then: ${again}\nCtrl-C again cancels it.`
}

async function left(handle: TaskHandle, printer: Printer): Promise<number> {
  if (printer.json)
    await printer.say(JSON.stringify({ id: handle.id, status: handle.known?.status ?? null, detached: true }))
  return EXIT.cancelled
}

export async function writeArtifacts(
  handle: TaskHandle,
  outcome: TaskOutcome,
  folder: ArtifactsFolder,
  printer: Printer,
): Promise<void> {
  const missing = outcome.task.result?.artifactsMissing ?? null
  if (missing !== null) await printer.note(`no artifacts: ${missing}`)
  for (const { path } of outcome.artifacts) {
    const place = await folder.write(path, await handle.artifact(path))
    await printer.note(`wrote ${place}`)
  }
}
