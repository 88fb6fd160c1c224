import type { Command } from "commander"
import { LANES, STATUSES } from "../../../core/words.ts"
import type { MethodResult } from "../../protocol/methods.ts"
import { attemptWithClient, type CommandContext, type CommonFlags, withServerFlags } from "../command.ts"
import { escapeControls } from "../escape.ts"
import { EXIT } from "../exitCode.ts"
import { showMs } from "../quantities.ts"
import { table } from "../table.ts"

/** `queue` and `system`. */
export function declareStats(program: Command, context: CommandContext): void {
  withServerFlags(program.command("queue"))
    .description("how many tasks wait and run, and who could run them")
    .action((flags: CommonFlags) =>
      attemptWithClient(context, flags, async (client, printer) => {
        const stats = await client.queue()
        await printer.answer(stats, queueText(stats))
        return EXIT.ok
      }),
    )
  withServerFlags(program.command("system"))
    .description("what the server is and how it fares")
    .action((flags: CommonFlags) =>
      attemptWithClient(context, flags, async (client, printer) => {
        const info = await client.system()
        await printer.answer(info, systemText(info))
        return EXIT.ok
      }),
    )
}

function queueText(stats: MethodResult<"queue.stats">["stats"]): string {
  const counts = table(
    ["STATUS", "TASKS"],
    STATUSES.map((status) => [status, String(stats.byStatus[status])]),
  )
  const lanes = table(
    ["LANE", "PENDING"],
    LANES.map((lane) => [lane, String(stats.pendingByLane[lane])]),
  )
  const workers = table(
    ["WORKER", "HOST", "POOL", "SLOTS", "STATE"],
    stats.workers.map((worker) => [
      worker.worker,
      worker.host,
      worker.pool,
      String(worker.slots),
      worker.draining ? "draining" : worker.accepting ? "accepting" : "not accepting",
    ]),
  )
  return `${counts}\n${lanes}\n${workers}\nslots in use: ${stats.slotsHeld} of ${stats.slotsTotal}\n`
}

function systemText(info: MethodResult<"system.info">["info"]): string {
  const lines: readonly (readonly [string, string])[] = [
    ["version", info.version],
    ["cluster", info.clusterId],
    ["node", info.nodeId],
    ["roles", info.roles.join(", ")],
    ["store", `${info.store}, durability ${info.durability}`],
    ["leader", info.leader ? "yes" : "no"],
    ["ready", info.ready ? "yes" : "no"],
    ["log", `at ${info.headSeq}, folded to ${info.checkpointSeq}`],
    ["records", levelText(info.recordLevel)],
    ["slot drift", String(info.slotDrift)],
    ["repairs", String(info.repairs)],
    ["up for", showMs(Math.max(0, info.nowMs - info.startedAtMs))],
    ...info.backends.map((backend): readonly [string, string] => [
      "backend",
      `${backend.backend}, ${backend.state}${backend.lastFailure === null ? "" : `, last failure: ${backend.lastFailure}`}`,
    ]),
    ...info.executors.map((executor): readonly [string, string] => [
      "executor",
      `${executor.name}, ${executor.accepting ? "accepting" : "not accepting"} ${JSON.stringify(executor.detail)}`,
    ]),
  ]
  return lines.map(([name, value]) => `${name.padEnd(12)}${escapeControls(value)}\n`).join("")
}

function levelText({ heldBackBy, inForce, readable }: MethodResult<"system.info">["info"]["recordLevel"]): string {
  const holders = heldBackBy.map(
    ({ host, node, roles, version }) => `${node} (${roles.join(", ")} ${version} on ${host})`,
  )
  const held = holders.length === 0 ? "" : `, held back by ${holders.join("; ")}`
  return `level ${inForce}, this node reads up to ${readable}${held}`
}
