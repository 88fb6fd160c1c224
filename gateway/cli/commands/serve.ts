import type { Command } from "commander"
import { attempt, type CommandContext, withPrintFlags } from "../command.ts"
import { EXIT } from "../exitCode.ts"
import type { CliHost } from "../host.ts"
import type { Printer, PrintFlags } from "../printer.ts"
import { parseWhole } from "../quantities.ts"
import { embeddedOptions } from "../session.ts"

interface ServeFlags extends PrintFlags {
  readonly data?: string
  readonly port?: string
  readonly bind?: string
  readonly executor?: string
  readonly slots?: string
  readonly secretsKeyFile?: string
}

/** `serve`. */
export function declareServe(program: Command, context: CommandContext): void {
  withPrintFlags(program.command("serve"))
    .description("be the server of a data directory until Ctrl-C")
    .option("--data <dir>", "data directory")
    .option("--port <number>", "TCP port; 0 for any free one")
    .option("--bind <address>", "address to listen on (default: 127.0.0.1)")
    .option("--executor <name>", "docker or process; process isolates nothing")
    .option("--slots <number>", "programs at once")
    .option("--secrets-key-file <file>", "keys that secrets are sealed with (default: of the data directory)")
    .action((flags: ServeFlags) => attempt(context, flags, (printer) => serve(flags, context.host, printer)))
}

async function serve(flags: ServeFlags, host: CliHost, printer: Printer): Promise<number> {
  const port = flags.port === undefined ? undefined : parseWhole("--port", flags.port, 0, 65_535)
  const server = await host.serve({ ...embeddedOptions(flags), port, bind: flags.bind })
  const stopListening = host.onSignal(() => {
    // Whether it stopped well is told by `closed`.
    server.close().catch(() => {})
  })
  try {
    const { url, token, pid, dataDir } = server
    await printer.answer(
      { url, token, pid, dataDir },
      `berth ${host.version} listens on ${url}, data in ${dataDir}, pid ${pid}\n`,
    )
    await server.closed
    return EXIT.ok
  } finally {
    stopListening()
  }
}
