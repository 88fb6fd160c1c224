import type { SubmitRequest } from "../../core/task/request.ts"
import { Collected } from "./collected.ts"
import type { GapEvent, OutputEvent, TaskEvent } from "./events.ts"
import type { TaskHandle } from "./handle.ts"
import type { TaskOutcome } from "./outcome.ts"

export interface RunOptions {
  /** Cancels the task, and rejects with the signal's reason. */
  readonly signal?: AbortSignal
  /** Bytes as the program prints them, and gaps. A slow callback slows nothing down but itself. */
  readonly onOutput?: (event: OutputEvent | GapEvent) => void
  /** Everything that happens, output included. */
  readonly onEvent?: (event: TaskEvent) => void
  /** The task was accepted. */
  readonly onSubmitted?: (handle: TaskHandle) => void
  /** Bytes of each stream that come back in the outcome. Default 1 MiB. */
  readonly collectBytesMax?: number
}

/** How a task ended, and what its last run printed. */
export interface RunOutcome extends TaskOutcome {
  readonly stdout: string
  readonly stderr: string
}

const COLLECT_BYTES_MAX = 1024 * 1024

/** An accepted task, and its events from the beginning; who does not read them all must `return` them. */
export interface Submitted {
  readonly handle: TaskHandle
  readonly events: AsyncIterableIterator<TaskEvent, undefined>
}

/**
 * Submits a task and stays with it until it is at rest.
 *
 * @param submit - the signal is for the events alone: a submit in mid-air must still say which task to cancel
 */
export async function runTask(
  submit: (request: SubmitRequest, signal: AbortSignal | undefined) => Promise<Submitted>,
  request: SubmitRequest,
  options: RunOptions,
): Promise<RunOutcome> {
  const { signal } = options
  signal?.throwIfAborted()
  const submitted = submit(request, signal)
  const cancel = () => {
    submitted.then(({ handle }) => handle.cancel()).catch(() => {})
  }
  signal?.addEventListener("abort", cancel, { once: true })
  try {
    const { events, handle } = await submitted
    try {
      options.onSubmitted?.(handle)
      return await follow(handle, events, options)
    } finally {
      void events.return?.()
    }
  } finally {
    signal?.removeEventListener("abort", cancel)
  }
}

async function follow(handle: TaskHandle, events: Submitted["events"], options: RunOptions): Promise<RunOutcome> {
  const collected = new Collected(options.collectBytesMax ?? COLLECT_BYTES_MAX)
  for await (const event of events) {
    collected.add(event)
    options.onEvent?.(event)
    if (event.type === "output" || event.type === "gap") options.onOutput?.(event)
  }
  // Known from the watch, unless that had nothing left to show.
  const outcome = await handle.result()
  return { ...outcome, stdout: collected.text("stdout"), stderr: collected.text("stderr") }
}
