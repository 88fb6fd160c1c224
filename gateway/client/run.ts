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

/** Submits a task and stays with it until it is at rest. */
export async function runTask(
  submit: (request: SubmitRequest) => Promise<TaskHandle>,
  request: SubmitRequest,
  options: RunOptions,
): Promise<RunOutcome> {
  const { signal } = options
  signal?.throwIfAborted()
  // Not given the signal: an abort in mid-air must still know which task to cancel.
  const submitted = submit(request)
  const cancel = () => {
    submitted.then((handle) => handle.cancel()).catch(() => {})
  }
  signal?.addEventListener("abort", cancel, { once: true })
  try {
    const handle = await submitted
    options.onSubmitted?.(handle)
    return await follow(handle, options)
  } finally {
    signal?.removeEventListener("abort", cancel)
  }
}

async function follow(handle: TaskHandle, options: RunOptions): Promise<RunOutcome> {
  const collected = new Collected(options.collectBytesMax ?? COLLECT_BYTES_MAX)
  for await (const event of handle.events(options.signal === undefined ? {} : { signal: options.signal })) {
    collected.add(event)
    options.onEvent?.(event)
    if (event.type === "output" || event.type === "gap") options.onOutput?.(event)
  }
  // Known from the watch, unless that had nothing left to show.
  const outcome = await handle.result()
  return { ...outcome, stdout: collected.text("stdout"), stderr: collected.text("stderr") }
}
