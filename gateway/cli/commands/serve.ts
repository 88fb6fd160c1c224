import type { Command } from "commander"
import { attempt, type CommandContext, withPrintFlags } from "../command.ts"
import { EXIT } from "../exitCode.ts"
import type { CliHost, RunningServer, ServeOptions } from "../host.ts"
import type { Printer, PrintFlags } from "../printer.ts"
import { parsePairs, parseWhole } from "../quantities.ts"
import { embeddedOptions } from "../session.ts"

interface ServeFlags extends PrintFlags {
  readonly data?: string
  readonly port?: string
  readonly bind?: string
  readonly executor?: string
  readonly slots?: string
  readonly strict?: boolean
  readonly secretsKeyFile?: string
  readonly nats?: readonly string[]
  readonly natsMonitor?: readonly string[]
  readonly natsCreds?: string
  readonly natsNkey?: string
  readonly natsCa?: string
  readonly natsCert?: string
  readonly natsKey?: string
  readonly cluster?: string
  readonly replicas?: string
  readonly role?: readonly string[]
  readonly pool?: string
  readonly worker?: string
  readonly label?: readonly string[]
  readonly secretFile?: string
}

/** Words of an option that may be given several times, or once with commas. */
const words = (text: string, before: readonly string[] = []): readonly string[] => [
  ...before,
  ...text.split(",").filter((word) => word !== ""),
]
const pairs = (text: string, before: readonly string[] = []): readonly string[] => [...before, text]

/** `serve`. */
export function declareServe(program: Command, context: CommandContext): void {
  withPrintFlags(program.command("serve"))
    .description("be the server of a data directory, or a node of a cluster, until Ctrl-C")
    .option("--data <dir>", "data directory")
    .option("--port <number>", "TCP port; 0 for any free one")
    .option("--bind <address>", "address to listen on (default: 127.0.0.1)")
    .option("--executor <name>", "docker or process; process isolates nothing")
    .option("--slots <number>", "programs at once")
    .option("--strict", "refuse to start on an engine below the floors of `berth doctor`")
    .option("--secrets-key-file <file>", "keys that secrets are sealed with (default: of the data directory)")
    .option("--nats <url>", "be a node of the cluster on this NATS server; several: repeated, or with commas", words)
    .option("--role <roles>", "what this node does: gateway, leader, worker (default: all)", words)
    .option("--pool <name>", "pool of this node's worker (default: default)")
    .option(
      "--worker <name>",
      "name of this node's worker, which its permissions on the broker go by (default: a random one)",
    )
    .option("--label <name=value>", "label of this node's worker; repeat for more", pairs)
    .option("--cluster <name>", "name of the cluster's streams (default: main)")
    .option("--replicas <number>", "copies of each stream: 1, 3 or 5 (default: 1)")
    .option("--nats-creds <file>", "credentials for NATS: a .creds file")
    .option("--nats-nkey <file>", "credentials for NATS: a file with an nkey seed")
    .option("--nats-ca <file>", "who signed the certificates of the NATS servers")
    .option("--nats-cert <file>", "own certificate for NATS")
    .option("--nats-key <file>", "key of the own certificate for NATS")
    .option("--nats-monitor <url>", "monitoring address of a NATS server, such as http://host:8222", words)
    .option("--secret-file <file>", "key of the tokens, common to all gateways (default: the cluster's own)")
    .action((flags: ServeFlags) => attempt(context, flags, (printer) => serve(flags, context.host, printer)))
}

async function serve(flags: ServeFlags, host: CliHost, printer: Printer): Promise<number> {
  const port = flags.port === undefined ? undefined : parseWhole("--port", flags.port, 0, 65_535)
  const waiting = new AbortController()
  const stopWaiting = host.onSignal(() => waiting.abort())
  const server = await openUntil(waiting.signal, host, {
    ...embeddedOptions(flags),
    port,
    bind: flags.bind,
    strict: flags.strict === true,
    nats: flags.nats ?? [],
    natsMonitors: flags.natsMonitor ?? [],
    natsCreds: flags.natsCreds,
    natsNkey: flags.natsNkey,
    natsCa: flags.natsCa,
    natsCert: flags.natsCert,
    natsKey: flags.natsKey,
    cluster: flags.cluster,
    replicas: flags.replicas === undefined ? undefined : parseWhole("--replicas", flags.replicas, 1, 5),
    roles: flags.role ?? [],
    pool: flags.pool,
    worker: flags.worker,
    labels: parsePairs("--label", flags.label ?? []),
    secretFile: flags.secretFile,
  }).finally(stopWaiting)
  if (server === null) return EXIT.ok
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

/** Null: it was told to stop while it waited for its broker. */
async function openUntil(
  until: AbortSignal,
  host: CliHost,
  options: Omit<ServeOptions, "until">,
): Promise<RunningServer | null> {
  try {
    const server = await host.serve({ ...options, until })
    if (!until.aborted) return server
    await server.close()
    return null
  } catch (error) {
    if (until.aborted) return null
    throw error
  }
}
