import type { Command } from "commander"
import type { WorkerEntry } from "../../client/publicTypes.ts"
import { attemptWithClient, type CommandContext, type CommonFlags, withServerFlags } from "../command.ts"
import { EXIT } from "../exitCode.ts"
import { table } from "../table.ts"

/** `worker ls` and `worker drain`. */
export function declareWorker(program: Command, context: CommandContext): void {
  const worker = program.command("worker").description("who runs programs")
  withServerFlags(worker.command("ls"))
    .description("every worker: where it is, what it takes, what it holds")
    .action((flags: CommonFlags) =>
      attemptWithClient(context, flags, async (client, printer) => {
        const workers = await client.workers.list()
        await printer.answer({ workers }, workersText(workers))
        return EXIT.ok
      }),
    )
  withServerFlags(worker.command("drain"))
    .description("let a worker start nothing more; what it holds goes on to its end")
    .argument("<worker>")
    .option("--undo", "let it take work again")
    .action((name: string, flags: CommonFlags & { readonly undo?: boolean }) =>
      attemptWithClient(context, flags, async (client, printer) => {
        const undo = flags.undo === true
        const entry = await client.workers.drain(name, { undo })
        const what = undo ? "takes work again" : `starts nothing more and holds ${entry.held}`
        await printer.answer({ worker: entry }, `${name} ${what}\n`)
        return EXIT.ok
      }),
    )
}

const stateOf = ({ accepting, draining }: WorkerEntry): string =>
  draining ? "draining" : accepting ? "accepting" : "not accepting"

const pairs = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ")

const workersText = (workers: readonly WorkerEntry[]): string =>
  table(
    ["WORKER", "HOST", "POOL", "HELD", "SLOTS", "STATE", "LABELS"],
    workers.map((entry) => [
      entry.worker,
      entry.host,
      entry.pool,
      String(entry.held),
      String(entry.slots),
      stateOf(entry),
      pairs(entry.labels),
    ]),
  )
