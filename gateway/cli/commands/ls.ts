import type { Command } from "commander"
import { LANES, STATUSES } from "../../../core/words.ts"
import type { Task, TaskList, TaskQuery } from "../../client/publicTypes.ts"
import { attemptWithClient, type CommandContext, type CommonFlags, withServerFlags } from "../command.ts"
import { EXIT } from "../exitCode.ts"
import type { Printer } from "../printer.ts"
import { parsePairs, parseWhole, parseWord, showMs } from "../quantities.ts"
import { table } from "../table.ts"

export interface PageFlags {
  readonly label?: readonly string[]
  readonly limit?: string
}

interface LsFlags extends CommonFlags, PageFlags {
  readonly status?: readonly string[]
  readonly lane?: readonly string[]
  readonly owner?: string
}

const LIMIT_DEFAULT = 50
const LIMIT_MAX = 1_000_000
const PAGE_ROWS = 200
const gather = (value: string, before: readonly string[] = []): readonly string[] => [...before, value]

export const withPageFlags = (command: Command): Command =>
  command
    .option("--label <name=value>", "only with this label; several times", gather)
    .option("--limit <number>", `at most so many, newest first (default: ${LIMIT_DEFAULT})`)

/** `ls`. */
export function declareLs(program: Command, context: CommandContext): void {
  withPageFlags(withServerFlags(program.command("ls")))
    .description("tasks, newest first; with --json one object a line")
    .option("--status <status>", `only in this status: ${STATUSES.join(", ")}; several times`, gather)
    .option("--lane <lane>", `only in this lane: ${LANES.join(", ")}; several times`, gather)
    .option("--owner <owner>", "for admins: only this owner's")
    .action((flags: LsFlags) =>
      attemptWithClient(context, flags, async (client, printer) => {
        const query: TaskQuery = {
          ...pageQuery(flags),
          ...(flags.status === undefined
            ? {}
            : { statuses: flags.status.map((text) => parseWord("--status", text, STATUSES)) }),
          ...(flags.lane === undefined ? {} : { lanes: flags.lane.map((text) => parseWord("--lane", text, LANES)) }),
          ...(flags.owner === undefined ? {} : { owner: flags.owner }),
        }
        return printTasks(client.list(query), limitOf(flags), printer, context)
      }),
    )
}

export const limitOf = (flags: PageFlags): number =>
  flags.limit === undefined ? LIMIT_DEFAULT : parseWhole("--limit", flags.limit, 1, LIMIT_MAX)

export const pageQuery = (flags: PageFlags): Pick<TaskQuery, "labels" | "rowsMax"> => ({
  rowsMax: Math.min(PAGE_ROWS, limitOf(flags)),
  ...(flags.label === undefined ? {} : { labels: parsePairs("--label", flags.label) }),
})

/** Prints the first tasks of a list: a line each for programs, a table for people. */
export async function printTasks(
  list: TaskList,
  limit: number,
  printer: Printer,
  context: CommandContext,
): Promise<number> {
  const tasks: Task[] = []
  for await (const task of list) {
    if (printer.json) await printer.answer(task, "")
    else tasks.push(task)
    limit -= 1
    if (limit === 0) break
  }
  const nowMs = context.host.nowMs()
  if (!printer.json)
    await printer.answer(
      null,
      table(
        HEAD,
        tasks.map((task) => row(task, nowMs)),
      ),
    )
  return EXIT.ok
}

const HEAD = ["ID", "STATUS", "PHASE", "LANE", "WHAT", "ATTEMPT", "EXIT", "AGE", "LABELS"]

const row = (task: Task, nowMs: number): readonly string[] => [
  task.id,
  task.status,
  task.phase,
  task.lane,
  task.target,
  `${task.attempt}/${task.maxAttempts}`,
  String(task.result?.exitCode ?? task.result?.signal ?? "-"),
  showMs(Math.max(0, nowMs - task.submittedAtMs)),
  Object.entries(task.labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(","),
]
