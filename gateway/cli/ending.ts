import type { TaskOutcome } from "../client/publicTypes.ts"
import { EXIT, exitCodeOf } from "./exitCode.ts"
import type { Printer } from "./printer.ts"
import { closingLine } from "./words.ts"

/** Says how a task ended: as a note, or aloud where the failure is ours, because the program printed nothing about it. */
export async function tellEnd(outcome: TaskOutcome, printer: Printer): Promise<number> {
  const code = exitCodeOf(outcome)
  const line = closingLine(outcome)
  if (code === EXIT.ownFailure && !printer.json) await printer.say(printer.hasNotes ? line : `berth: ${line}`)
  else await printer.note(line)
  if (printer.json) await printer.say(JSON.stringify(outcome))
  return code
}
