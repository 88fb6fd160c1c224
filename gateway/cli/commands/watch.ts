import type { Command } from "commander"
import type { BackendEvent, TaskEvent } from "../../client/publicTypes.ts"
import { attemptWithClient, type CommandContext, type CommonFlags, withServerFlags } from "../command.ts"
import { escapeControls } from "../escape.ts"
import { EXIT } from "../exitCode.ts"
import { parseWhole } from "../quantities.ts"
import { phaseWords } from "../words.ts"

type WatchFlags = CommonFlags & { readonly from?: string }

/** `watch`. */
export function declareWatch(program: Command, context: CommandContext): void {
  withServerFlags(program.command("watch"))
    .description("what happens to one task until its end, or to all of one's own until Ctrl-C")
    .argument("[id]")
    .option("--from <seq>", "what came after this position in the log")
    .action((id: string | undefined, flags: WatchFlags) =>
      attemptWithClient(context, flags, async (client, printer) => {
        const { host } = context
        const stop = new AbortController()
        const stopListening = host.onSignal(() => stop.abort())
        const fromSeq = flags.from === undefined ? {} : { fromSeq: parseWhole("--from", flags.from, 0, 1e15 - 1) }
        const options = { ...fromSeq, signal: stop.signal }
        try {
          for await (const event of id === undefined ? client.events(options) : client.watch(id, options)) {
            await printer.answer(eventFields(event), `${eventLine(event, host.nowMs())}\n`)
          }
          return EXIT.ok
        } catch (cause) {
          if (stop.signal.aborted) return EXIT.cancelled
          throw cause
        } finally {
          stopListening()
        }
      }),
    )
}

/** An event for programs: its bytes as base64. */
const eventFields = (event: TaskEvent | BackendEvent): unknown =>
  event.type === "output" ? { ...event, bytes: Buffer.from(event.bytes).toString("base64") } : event

const SHOWN_CHARS = 100

export function eventLine(event: TaskEvent | BackendEvent, nowMs: number): string {
  if (event.type === "backend") {
    const why = event.to === "open" && event.lastFailure !== null ? `: ${escapeControls(event.lastFailure)}` : ""
    return `${"live".padStart(6)}  backend ${escapeControls(event.backend)} → ${event.to}${why}`
  }
  const place = `${String(event.seq ?? "live").padStart(6)}  ${event.taskId}`
  switch (event.type) {
    case "state":
      return `${place}  ${event.facts.join(", ")} → ${event.task.status}, ${escapeControls(phaseWords(event.task, nowMs))}`
    case "output":
      return `${place}  ${event.stream} ${event.offset}+${event.bytes.length}  ${preview(event.bytes)}`
    case "gap":
      return `${place}  ${event.stream} ${event.offset}: ${event.bytes ?? "some"} bytes were not kept`
    case "progress":
      return `${place}  progress ${escapeControls(JSON.stringify(event.data) ?? "").slice(0, SHOWN_CHARS)}`
    case "end":
      return `${place}  end: ${event.status}`
  }
}

const preview = (bytes: Uint8Array): string => {
  const text = new TextDecoder().decode(bytes.subarray(0, 4 * SHOWN_CHARS))
  return escapeControls(text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS)}…` : text)
}
