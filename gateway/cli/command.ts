import type { Command } from "commander"
import type { BerthClient } from "../client/publicTypes.ts"
import { EXIT } from "./exitCode.ts"
import { type CliHost, OutputGone } from "./host.ts"
import { Printer, type PrintFlags } from "./printer.ts"
import { openSession, type ServerFlags } from "./session.ts"

export type CommonFlags = ServerFlags & PrintFlags

/** What a command works with. */
export interface CommandContext {
  readonly host: CliHost
  /** Called by whoever finishes: the exit code of the process. */
  readonly finish: (code: number) => void
}

/** Declares one command, or several that belong together. */
export type Declare = (program: Command, context: CommandContext) => void

export const withPrintFlags = (command: Command): Command =>
  command
    .option("--json", "answer in JSON, for programs")
    .option("--verbose", "notes on standard error even where it is no terminal")

export const withServerFlags = (command: Command): Command =>
  withPrintFlags(command)
    .option("--url <url>", "server to talk to (or BERTH_URL)")
    .option("--token <token>", "who we are (or BERTH_TOKEN)")
    .option("--data <dir>", "data directory whose live server to talk to")

/** Runs a command's body and turns whatever goes wrong into a message and our own exit code. */
export async function attempt(
  context: CommandContext,
  flags: PrintFlags,
  body: (printer: Printer) => Promise<number>,
): Promise<void> {
  const printer = new Printer(context.host, flags)
  try {
    context.finish(await body(printer))
  } catch (cause) {
    // As a program that SIGPIPE ends.
    if (cause instanceof OutputGone) return context.finish(EXIT.outputGone)
    await printer.error(cause)
    context.finish(EXIT.ownFailure)
  }
}

/** The same, with a connection to the server, which is closed afterwards. */
export const attemptWithClient = (
  context: CommandContext,
  flags: CommonFlags,
  body: (client: BerthClient, printer: Printer) => Promise<number>,
): Promise<void> =>
  attempt(context, flags, async (printer) => {
    const session = await openSession(flags, context.host)
    try {
      return await body(session.client, printer)
    } finally {
      await session.close()
    }
  })
