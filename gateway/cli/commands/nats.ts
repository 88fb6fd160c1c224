import type { Command } from "commander"
import { attempt, type CommandContext, withPrintFlags } from "../command.ts"
import { EXIT } from "../exitCode.ts"
import type { BrokerRole } from "../host.ts"
import type { PrintFlags } from "../printer.ts"
import { parseWord, usageError } from "../quantities.ts"

interface PermissionFlags extends PrintFlags {
  readonly cluster: string
  readonly role: readonly string[]
  readonly worker?: string
  readonly pool: string
}

const ROLES = ["gateway", "leader", "worker"] as const
const words = (text: string, before: readonly string[]): readonly string[] => [...before, ...text.split(",")]

/** `nats permissions`: what a node's user may do on the broker, as nats-server's configuration wants it. */
export function declareNats(program: Command, context: CommandContext): void {
  const nats = program.command("nats").description("the broker of a cluster")
  withPrintFlags(nats.command("permissions"))
    .description("print `permissions` of nats-server's configuration, for the user of a node with these roles")
    .option("--role <roles>", `what the node does: ${ROLES.join(", ")}; several: repeated, or with commas`, words, [])
    .option("--worker <name>", "name of the node's worker")
    .option("--pool <name>", "pool of the node's worker", "default")
    .option("--cluster <name>", "name of the cluster's streams", "main")
    .action((flags: PermissionFlags) =>
      attempt(context, flags, async (printer) => {
        const { cluster, pool, worker } = flags
        if (flags.role.length === 0) throw usageError("--role", `name one or more of ${ROLES.join(", ")}`)
        const users = flags.role.map((role) => userOf(parseWord("--role", role, ROLES), worker, pool))
        const { text, ...permissions } = await context.host.brokerPermissions(cluster, users)
        await printer.answer(permissions, `permissions: ${text}\n`)
        return EXIT.ok
      }),
    )
}

function userOf(role: (typeof ROLES)[number], worker: string | undefined, pool: string): BrokerRole {
  if (role !== "worker") return { role }
  if (worker === undefined) throw usageError("--worker", "a worker's permissions are for one name: give it")
  return { role, worker, pool }
}
