import type { Command } from "commander"
import { LANES } from "../../../core/words.ts"
import { attempt, type CommandContext, withPrintFlags } from "../command.ts"
import { escapeControls } from "../escape.ts"
import { EXIT } from "../exitCode.ts"
import type { DoctorLine } from "../host.ts"
import type { PrintFlags } from "../printer.ts"
import { parseDurationMs, parseWord, showBytes } from "../quantities.ts"

interface DataFlags extends PrintFlags {
  readonly data?: string
}

interface TokenFlags extends DataFlags {
  readonly owner: string
  readonly role: string
  readonly laneMax: string
  readonly for: string
}

/** `token`, `backup`, `restore` and `doctor`: what is done with the data directory itself. */
export function declareAdmin(program: Command, context: CommandContext): void {
  const { host } = context
  const command = (name: string) => withPrintFlags(program.command(name)).option("--data <dir>", "data directory")
  command("token")
    .description("make a token, with the secret of the data directory")
    .option("--owner <owner>", "whose tasks it gives access to", "local")
    .option("--role <role>", "user or admin; an admin sees everybody's tasks", "user")
    .option("--lane-max <lane>", `most urgent lane: ${LANES.join(", ")}`, "urgent")
    .option("--for <duration>", "how long it is good", "1h")
    .action((flags: TokenFlags) =>
      attempt(context, flags, async (printer) => {
        const lifeMs = parseDurationMs("--for", flags.for)
        const role = parseWord("--role", flags.role, ["user", "admin"] as const)
        const laneMax = parseWord("--lane-max", flags.laneMax, LANES)
        const { owner } = flags
        const token = await host.mintToken({ dataDir: flags.data, owner, role, laneMax, lifeMs })
        await printer.answer({ token, owner, role, laneMax, expiresAtMs: host.nowMs() + lifeMs }, `${token}\n`)
        return EXIT.ok
      }),
    )
  command("backup")
    .description("copy the data directory, whether or not a server uses it")
    .argument("<to>", "folder to make")
    .action((to: string, flags: DataFlags) =>
      attempt(context, flags, async (printer) => {
        const { bytes } = await host.backup({ dataDir: flags.data, to })
        await printer.answer({ to, bytes }, `wrote ${showBytes(bytes)} to ${escapeControls(to)}\n`)
        return EXIT.ok
      }),
    )
  command("restore")
    .description("make a data directory from a backup; replaces nothing")
    .argument("<from>", "folder that `berth backup` made")
    .action((from: string, flags: DataFlags) =>
      attempt(context, flags, async (printer) => {
        const { dataDir } = await host.restore({ from, dataDir: flags.data })
        await printer.answer({ from, dataDir }, `restored ${escapeControls(from)} to ${escapeControls(dataDir)}\n`)
        return EXIT.ok
      }),
    )
  command("doctor")
    .description("hold engine and data directory against their floors, and attack the sandbox with hostile programs")
    .action((flags: DataFlags) =>
      attempt(context, flags, async (printer) => {
        const lines = await host.doctor({ dataDir: flags.data })
        const code = doctorCode(lines)
        await printer.answer({ ok: code === EXIT.ok, lines }, lines.map(doctorText).join(""))
        return code
      }),
    )
}

/** An attack that succeeded outweighs everything else. */
function doctorCode(lines: readonly DoctorLine[]): number {
  const failed = lines.filter(({ verdict }) => verdict === "fail")
  if (failed.length === 0) return EXIT.ok
  return failed.some(({ kind }) => kind === "attack") ? EXIT.attacked : EXIT.belowFloor
}

const doctorText = ({ kind, name, verdict, detail, hint }: DoctorLine): string =>
  `${verdict.padEnd(5)}${kind === "attack" ? "attack: " : ""}${escapeControls(name)}: ${escapeControls(detail)}\n` +
  (hint === undefined || verdict === "ok" ? "" : `     ${escapeControls(hint)}\n`)
