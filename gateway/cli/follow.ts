/**
 * Stays with a task: hands its output through untouched, says what it is doing, and knows what Ctrl-C means.
 *
 *   first Ctrl-C:  we leave, the task goes on; how to come back is said
 *   second, soon:  the task is cancelled, and we stay until it has ended
 *   third:         we leave at once
 */
import type { TaskEvent, TaskHandle, TaskOutcome } from "../client/publicTypes.ts"
import type { CliHost } from "./host.ts"
import type { Printer } from "./printer.ts"
import { showBytes } from "./quantities.ts"
import { StatusLine } from "./statusLine.ts"
import { phaseWords } from "./words.ts"

/** For how long after the first Ctrl-C a second one cancels. */
const SECOND_MS = 2_000

export interface FollowOptions {
  readonly fromSeq?: number
  /** Said after the first Ctrl-C. */
  readonly comeBack: string
  readonly onEvent?: (event: TaskEvent) => Promise<void>
}

/** The outcome, or null when we left before the task ended. */
export async function follow(
  handle: TaskHandle,
  host: CliHost,
  printer: Printer,
  options: FollowOptions,
): Promise<TaskOutcome | null> {
  const line = new StatusLine(host, printer.hasNotes)
  const left = new AbortController()
  let interrupts = 0
  let interrupted: () => void = () => {}
  const stopListening = host.onSignal((signal) => {
    interrupts += signal === "SIGTERM" ? 3 : 1
    left.abort()
    interrupted()
  })
  try {
    await show(handle, host, printer, line, options, left.signal)
    if (!left.signal.aborted) return await handle.result()
    await line.stop()
    await printer.say(options.comeBack)
    if (interrupts === 1) await nextInterrupt(host, (listener) => (interrupted = listener))
    if (interrupts !== 2) return null
    await printer.say("cancelling; once more to leave at once")
    const gone = new AbortController()
    interrupted = () => gone.abort()
    return await cancelled(handle, gone.signal)
  } finally {
    stopListening()
    await line.stop()
  }
}

async function show(
  handle: TaskHandle,
  host: CliHost,
  printer: Printer,
  line: StatusLine,
  options: FollowOptions,
  left: AbortSignal,
): Promise<void> {
  let task = handle.known
  const words = () => (task === null ? "looking" : phaseWords(task, host.nowMs()))
  line.show(words)
  try {
    for await (const event of handle.events({ fromSeq: options.fromSeq ?? 0, signal: left })) {
      if (event.type === "state") task = event.task
      await print(event, host, printer, line)
      await options.onEvent?.(event)
    }
  } catch (cause) {
    if (!left.aborted) throw cause
  }
}

async function print(event: TaskEvent, host: CliHost, printer: Printer, line: StatusLine): Promise<void> {
  if (event.type === "output") {
    const output = host[event.stream]
    if (output.isTty) await line.giveWay()
    await output.write(event.bytes)
    if (output.isTty) line.printed(event.bytes)
  } else if (event.type === "gap" && printer.hasNotes) {
    await line.giveWay()
    await printer.note(
      `[${event.bytes === null ? "some bytes" : showBytes(event.bytes)} of ${event.stream} were not kept]`,
    )
  }
}

/** Resolves with the next Ctrl-C, or when the time for one has passed. */
const nextInterrupt = (host: CliHost, listen: (listener: () => void) => void): Promise<void> =>
  new Promise((resolve) => {
    const cancelTimer = host.after(SECOND_MS, resolve)
    listen(() => {
      cancelTimer()
      resolve()
    })
  })

async function cancelled(handle: TaskHandle, gone: AbortSignal): Promise<TaskOutcome | null> {
  try {
    await handle.cancel({ signal: gone })
    return await handle.result({ signal: gone })
  } catch (cause) {
    if (gone.aborted) return null
    throw cause
  }
}
