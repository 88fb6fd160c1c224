import { Command, CommanderError } from "commander"
import { berthError } from "../../core/errors.ts"
import type { CommandContext, Declare } from "./command.ts"
import { declareAdmin } from "./commands/admin.ts"
import { declareChanges } from "./commands/changes.ts"
import { declareDlq } from "./commands/dlq.ts"
import { declareGet } from "./commands/get.ts"
import { declareLogs } from "./commands/logs.ts"
import { declareLs } from "./commands/ls.ts"
import { declareNats } from "./commands/nats.ts"
import { declareRun } from "./commands/run.ts"
import { declareSecret } from "./commands/secret.ts"
import { declareServe } from "./commands/serve.ts"
import { declareStats } from "./commands/stats.ts"
import { declareWorker } from "./commands/worker.ts"
import { declareWatch } from "./commands/watch.ts"
import { EXIT } from "./exitCode.ts"
import type { CliHost } from "./host.ts"
import { Printer } from "./printer.ts"

const DECLARATIONS: readonly Declare[] = [
  declareServe,
  declareRun,
  declareLs,
  declareGet,
  declareLogs,
  declareWatch,
  declareChanges,
  declareDlq,
  declareSecret,
  declareStats,
  declareWorker,
  declareNats,
  declareAdmin,
]

const EXIT_CODES = `
Exit codes: the program's own; 128 + n when signal n ended it; 124 timeout; 130 cancelled, or left with Ctrl-C; 125 our own failure.`

/**
 * Runs one command line.
 *
 * @param argv - the words after the program's name
 * @returns the exit code of the process
 */
export async function runCli(argv: readonly string[], host: CliHost): Promise<number> {
  let code: number = EXIT.ok
  const written: Promise<void>[] = []
  const program = new Command("berth")
    .description(
      "Runs programs that somebody else wrote: durable, in hardened containers, with live output and kept results.",
    )
    .version(host.version)
    .addHelpText("after", EXIT_CODES)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void written.push(host.stdout.write(text)),
      // Said below, in our own form and with our own exit code.
      writeErr: () => {},
    })
  const context: CommandContext = { host, finish: (finished) => (code = finished) }
  for (const declare of DECLARATIONS) declare(program, context)
  try {
    await program.parseAsync([...argv], { from: "user" })
  } catch (cause) {
    if (!(cause instanceof CommanderError)) throw cause
    code = await misused(cause, argv, program, host)
  }
  await Promise.allSettled(written)
  return code
}

async function misused(
  cause: CommanderError,
  argv: readonly string[],
  program: Command,
  host: CliHost,
): Promise<number> {
  // Help and version end this way too.
  if (cause.exitCode === 0) return EXIT.ok
  const printer = new Printer(host, { json: argv.includes("--json") })
  if (cause.code === "commander.help" && !printer.json) {
    await host.stderr.write(program.helpInformation())
    return EXIT.ownFailure
  }
  const message = cause.message.replace(/^error: /, "").replaceAll("\n", " ")
  await printer.error(berthError("INVALID_PARAMS", message, { hint: "`berth help` shows what each command takes." }))
  return EXIT.ownFailure
}
