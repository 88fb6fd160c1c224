import type { Command } from "commander"
import { DOOR } from "../../protocol/limits.ts"
import type { BerthClient } from "../../client/publicTypes.ts"
import { attemptWithClient, type CommandContext, type CommonFlags, withServerFlags } from "../command.ts"
import { escapeControls } from "../escape.ts"
import { EXIT } from "../exitCode.ts"
import type { Printer } from "../printer.ts"
import { usageError } from "../quantities.ts"
import { describe } from "./get.ts"
import { limitOf, type PageFlags, pageQuery, printTasks, withPageFlags } from "./ls.ts"

/** `dlq ls`, `dlq show` and `dlq requeue`. */
export function declareDlq(program: Command, context: CommandContext): void {
  const dlq = program.command("dlq").description("dead letters: tasks that ended in failed or timeout")
  withPageFlags(withServerFlags(dlq.command("ls")))
    .description("dead letters, newest first; with --json one object a line")
    .action((flags: CommonFlags & PageFlags) =>
      attemptWithClient(context, flags, (client, printer) =>
        printTasks(client.dlq.list(pageQuery(flags)), limitOf(flags), printer, context),
      ),
    )
  withServerFlags(dlq.command("show"))
    .description("one dead letter, with the end of what it printed")
    .argument("<id>")
    .action((id: string, flags: CommonFlags) =>
      attemptWithClient(context, flags, (client, printer) => show(id, client, printer, context)),
    )
  withServerFlags(dlq.command("requeue"))
    .description("one more attempt for dead letters: by id, or --all")
    .argument("[ids...]")
    .option("--all", "every dead letter")
    .action((ids: string[], flags: CommonFlags & { readonly all?: boolean }) =>
      attemptWithClient(context, flags, (client, printer) => requeue(ids, flags.all === true, client, printer)),
    )
}

const TAIL_BYTES = 2_048

async function show(id: string, client: BerthClient, printer: Printer, context: CommandContext): Promise<number> {
  const handle = client.task(id)
  const task = await handle.get()
  if (task.status !== "failed" && task.status !== "timeout") {
    throw usageError("ID", `is no dead letter: task ${id} is ${task.status}`)
  }
  const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() }
  const tails = { stdout: "", stderr: "" }
  for await (const event of handle.events()) {
    if (event.type === "state" && event.facts.includes("started")) tails.stdout = tails.stderr = ""
    if (event.type !== "output") continue
    const text = tails[event.stream] + decoders[event.stream].decode(event.bytes, { stream: true })
    tails[event.stream] = text.slice(-TAIL_BYTES)
  }
  const ends = (["stdout", "stderr"] as const).filter((stream) => tails[stream] !== "")
  const text = ends.map((stream) => `\nend of ${stream}\n${shownLines(tails[stream])}`).join("")
  await printer.answer({ task, ...tails }, describe(task, context.host.nowMs()) + text)
  return EXIT.ok
}

const shownLines = (text: string): string =>
  text
    .split("\n")
    .map((line) => (line === "" ? "" : `  ${escapeControls(line)}`))
    .join("\n")

async function requeue(ids: readonly string[], all: boolean, client: BerthClient, printer: Printer): Promise<number> {
  if (all === ids.length > 0) throw usageError("requeue", "takes ids, or --all")
  const wanted = all ? await deadIds(client) : ids
  let code: number = EXIT.ok
  for (let at = 0; at < wanted.length; at += DOOR.requeueMax) {
    const answer = await client.dlq.requeue(wanted.slice(at, at + DOOR.requeueMax))
    for (const task of answer.requeued) await printer.answer(task, `${task.id} is tried again\n`)
    for (const { id, error } of answer.failed) {
      code = EXIT.ownFailure
      await printer.say(printer.json ? JSON.stringify({ id, error }) : `berth: ${id}: ${escapeControls(error.message)}`)
    }
  }
  return code
}

/** Gathered first: a requeue takes tasks out of the list that is being read. */
async function deadIds(client: BerthClient): Promise<readonly string[]> {
  const ids: string[] = []
  for await (const task of client.dlq.list({ rowsMax: 500 })) ids.push(task.id)
  return ids
}
