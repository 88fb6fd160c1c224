import type { Command } from "commander"
import type { Task } from "../../client/publicTypes.ts"
import { ArtifactsFolder } from "../artifactsFolder.ts"
import { attemptWithClient, type CommandContext, type CommonFlags, withServerFlags } from "../command.ts"
import { escapeControls } from "../escape.ts"
import { EXIT } from "../exitCode.ts"
import { showBytes, showMs } from "../quantities.ts"
import { phaseWords } from "../words.ts"

type GetFlags = CommonFlags & { readonly artifacts?: string }

/** `get`. */
export function declareGet(program: Command, context: CommandContext): void {
  withServerFlags(program.command("get"))
    .description("everything about one task")
    .argument("<id>")
    .option("--artifacts <dir>", "write what its program left in /box/out into this folder")
    .action((id: string, flags: GetFlags) =>
      attemptWithClient(context, flags, async (client, printer) => {
        const task = await client.get(id)
        await printer.answer(task, describe(task, context.host.nowMs()))
        if (flags.artifacts === undefined) return EXIT.ok
        const folder = await ArtifactsFolder.open(flags.artifacts)
        for (const { path } of task.result?.artifacts ?? []) {
          await printer.note(`wrote ${await folder.write(path, await client.artifact(id, path))}`)
        }
        return EXIT.ok
      }),
    )
}

const moment = (atMs: number | null): string | null => (atMs === null ? null : new Date(atMs).toISOString())

/** A line for each thing that is known. */
export function describe(task: Task, nowMs: number): string {
  const lines: readonly (readonly [string, string | number | null | undefined])[] = [
    ["id", task.id],
    ["owner", task.owner],
    ["status", task.status],
    ["doing", task.phase === "ended" ? null : phaseWords(task, nowMs)],
    ["what", `${task.kind} ${task.target}`],
    ["lane", task.lane],
    ["attempt", `${task.attempt} of ${task.maxAttempts}`],
    ["labels", labels(task)],
    ["submitted", moment(task.submittedAtMs)],
    ["starts at", moment(task.startAtMs)],
    ["starts by", moment(task.startByMs)],
    ["ended", moment(task.endedAtMs)],
    ["worker", task.worker],
    ["container", task.containerId],
    ...resultLines(task),
    ...task.history.map((summary): readonly [string, string] => [
      `attempt ${summary.attempt}`,
      `${summary.status} (${summary.reason})${summary.exitCode === null ? "" : `, exit ${summary.exitCode}`}`,
    ]),
  ]
  return lines
    .filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => `${name.padEnd(12)}${escapeControls(String(value))}\n`)
    .join("")
}

const labels = (task: Task): string =>
  Object.entries(task.labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ")

function resultLines({ result }: Task): readonly (readonly [string, string | number | null])[] {
  if (result === null) return []
  return [
    ["reason", result.reason],
    ["message", result.message],
    ["exit code", result.exitCode],
    ["signal", result.signal],
    ["wall", result.wallMs === null ? null : showMs(result.wallMs)],
    ["cpu", result.cpuMs === null ? null : showMs(result.cpuMs)],
    ["peak memory", result.memoryPeakBytes === null ? null : showBytes(result.memoryPeakBytes)],
    ["stdout", totals(result.stdout)],
    ["stderr", totals(result.stderr)],
    ["value", result.value === null || result.value === undefined ? null : JSON.stringify(result.value)],
    ["image", result.imageDigest],
    ["overlap", result.overlapPossible ? "a lost worker may have run it at the same time" : null],
    ["no artifacts", result.artifactsMissing],
    ...result.artifacts.map((artifact): readonly [string, string] => [
      "artifact",
      `${artifact.path}, ${showBytes(artifact.sizeBytes)}`,
    ]),
  ]
}

const totals = ({ totalBytes, droppedBytes }: { readonly totalBytes: number; readonly droppedBytes: number }): string =>
  showBytes(totalBytes) + (droppedBytes === 0 ? "" : `, of which ${showBytes(droppedBytes)} were not kept`)
