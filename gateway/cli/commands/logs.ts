import type { Command } from "commander"
import { OUTPUT_STREAMS } from "../../../core/words.ts"
import type { TaskEvent, TaskHandle } from "../../client/publicTypes.ts"
import { attempt, type CommandContext, type CommonFlags, withServerFlags } from "../command.ts"
import { tellEnd } from "../ending.ts"
import { EXIT } from "../exitCode.ts"
import { follow } from "../follow.ts"
import type { CliHost } from "../host.ts"
import type { Printer } from "../printer.ts"
import { parseWord, showBytes } from "../quantities.ts"
import { openSession } from "../session.ts"
import { comeBack } from "./run.ts"

type LogsFlags = CommonFlags & { readonly follow?: boolean; readonly stream?: string }

/** `logs`. */
export function declareLogs(program: Command, context: CommandContext): void {
  withServerFlags(program.command("logs"))
    .description("what a task has printed")
    .argument("<id>")
    .option("-f, --follow", "stay until it has ended, and end with its exit code")
    .option("--stream <name>", "only stdout, or only stderr (without -f)")
    .action((id: string, flags: LogsFlags) =>
      attempt(context, flags, async (printer) => {
        const session = await openSession(flags, context.host)
        try {
          const handle = session.client.task(id)
          if (flags.follow !== true) return await printSoFar(handle, flags, context.host, printer)
          const outcome = await follow(handle, context.host, printer, { comeBack: comeBack(handle, session) })
          if (outcome === null) return EXIT.cancelled
          return await tellEnd(outcome, printer)
        } finally {
          await session.close()
        }
      }),
    )
}

async function printSoFar(handle: TaskHandle, flags: LogsFlags, host: CliHost, printer: Printer): Promise<number> {
  const stream = flags.stream === undefined ? null : parseWord("--stream", flags.stream, OUTPUT_STREAMS)
  const left = new AbortController()
  const stopListening = host.onSignal(() => left.abort())
  try {
    for await (const event of handle.events({ follow: false, signal: left.signal }))
      await print(event, stream, host, printer)
  } catch (cause) {
    if (!left.signal.aborted) throw cause
  } finally {
    stopListening()
  }
  return EXIT.ok
}

async function print(event: TaskEvent, stream: string | null, host: CliHost, printer: Printer): Promise<void> {
  if ((event.type !== "output" && event.type !== "gap") || (stream !== null && event.stream !== stream)) return
  if (event.type === "output") await host[event.stream].write(event.bytes)
  else
    await printer.note(
      `[${event.bytes === null ? "some bytes" : showBytes(event.bytes)} of ${event.stream} were not kept]`,
    )
}
