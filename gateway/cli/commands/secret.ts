import type { Command } from "commander"
import { berthError } from "../../../core/errors.ts"
import { LIMITS } from "../../../core/limits.ts"
import { attempt, type CommandContext, type CommonFlags, withPrintFlags, withServerFlags } from "../command.ts"
import { EXIT } from "../exitCode.ts"
import type { CliHost } from "../host.ts"
import type { Printer, PrintFlags } from "../printer.ts"
import { usageError } from "../quantities.ts"
import { type EmbedFlags, openSessionOrEmbed, type Session } from "../session.ts"
import { readWhole } from "../sourceFiles.ts"

type SecretFlags = CommonFlags & EmbedFlags

/** A final line break is not part of the value. */
const VALUE_BYTES_MAX = LIMITS.secretBytesMax + 2

/**
 * `secret set`, `secret ls`, `secret rm` and `secret rotate-key`. A value comes from standard input or a file, never from
 * an argument: those can be read by everybody on the machine, and shells remember them.
 */
export function declareSecret(program: Command, context: CommandContext): void {
  const { host } = context
  const secret = program.command("secret").description("values that programs get as environment variables, by name")
  const command = (name: string) =>
    withServerFlags(secret.command(name))
      .option("--executor <name>", "where there is no server: docker or process")
      .option("--secrets-key-file <file>", "where there is no server: keys that secrets are sealed with")
  command("set")
    .description("keep a value, from standard input unless a file is named; one final line break is taken off")
    .argument("<name>")
    .option("--value-file <file>", "where the value is; - for standard input", "-")
    .action((name: string, flags: SecretFlags & { readonly valueFile: string }) =>
      attempt(context, flags, async (printer) => {
        const value = await readValue(flags.valueFile, host, printer)
        return withSession(flags, host, async ({ client }) => {
          await client.secrets.set(name, value)
          await printer.answer({ name }, `kept ${name}\n`)
          return EXIT.ok
        })
      }),
    )
  command("ls")
    .description("names of the secrets, one a line")
    .action((flags: SecretFlags) =>
      attempt(context, flags, (printer) =>
        withSession(flags, host, async ({ client }) => {
          const names = await client.secrets.list()
          await printer.answer({ names }, names.map((name) => `${name}\n`).join(""))
          return EXIT.ok
        }),
      ),
    )
  command("rm")
    .description("remove a secret; programs that run have it already")
    .argument("<name>")
    .action((name: string, flags: SecretFlags) =>
      attempt(context, flags, (printer) =>
        withSession(flags, host, async ({ client }) => {
          if (!(await client.secrets.delete(name)))
            throw berthError("NOT_FOUND", "there is no secret of this name", {
              hint: "`berth secret ls` shows the names.",
            })
          await printer.answer({ name }, `removed ${name}\n`)
          return EXIT.ok
        }),
      ),
    )
  withPrintFlags(secret.command("rotate-key"))
    .description("seal all secrets of a data directory with a new key, while no server uses it")
    .option("--data <dir>", "data directory")
    .action((flags: PrintFlags & { readonly data?: string }) =>
      attempt(context, flags, async (printer) => {
        const resealed = await host.rotateSecretsKey({ dataDir: flags.data })
        await printer.answer({ resealed }, `${resealed} sealed with a new key\n`)
        return EXIT.ok
      }),
    )
}

async function withSession(
  flags: SecretFlags,
  host: CliHost,
  body: (session: Session) => Promise<number>,
): Promise<number> {
  const session = await openSessionOrEmbed(flags, host)
  try {
    return await body(session)
  } finally {
    await session.close()
  }
}

async function readValue(from: string, host: CliHost, printer: Printer): Promise<string> {
  const bytes = await (from !== "-"
    ? readWhole(from)
    : host.stdin.isTty
      ? readTyped(host, printer)
      : host.stdin.readAll(VALUE_BYTES_MAX))
  if (bytes.length > VALUE_BYTES_MAX) throw usageError("--value-file", `holds more than ${LIMITS.secretBytesMax} bytes`)
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes).replace(/\r?\n$/, "")
  } catch {
    throw usageError("--value-file", "must be text in UTF-8: an environment variable holds nothing else")
  }
}

/** Who is told to type may do so at once: the terminal shows nothing by then. */
async function readTyped(host: CliHost, printer: Printer): Promise<Uint8Array> {
  const typed = host.stdin.readHidden(VALUE_BYTES_MAX)
  const [bytes] = await Promise.all([
    typed,
    printer.note("reading the value from the terminal, which does not show it; Ctrl-D ends it"),
  ])
  return bytes
}
