/**
 * What the embedding program registers: its own functions, by name. They run inside this process, with its rights.
 */

/** What a handler gets beside its input. Every member may be taken off the object. */
export interface HandlerContext {
  /** Aborted when the task is cancelled, killed, out of time, silent for too long, or fenced. */
  readonly signal: AbortSignal
  readonly taskId: string
  readonly attempt: number
  /** Grows with every start of the task: a fencing token for what the handler writes elsewhere. */
  readonly epoch: number
  /** Tells watchers how far the work is. Any JSON value up to `LIMITS.resultValueBytesMax`; throws TOO_LARGE or INVALID_PARAMS. */
  readonly progress: (data: unknown) => void
  /** Shows that the handler is alive, where it was registered with `heartbeatMsMax`. */
  readonly heartbeat: () => void
  /** Writes a line to the task's stdout. Beyond 1 MiB that could not be written yet, text is counted and dropped. */
  readonly log: (text: string) => void
}

/** A function of the embedding program. What it returns becomes the result's `value`; what it throws fails the attempt. */
export type Handler = (input: unknown, context: HandlerContext) => unknown

export interface HandlerDefinition {
  readonly run: Handler
  /** Longest silence between heartbeats, from the start on; null: none are asked for. */
  readonly heartbeatMsMax: number | null
}

export type Handlers = Readonly<Record<string, Handler | HandlerDefinition>>

/** The definition that is registered under a name itself, never one that objects inherit; null when there is none. */
export const handlerNamed = (handlers: Handlers, name: string): HandlerDefinition | null => {
  if (!Object.hasOwn(handlers, name)) return null
  const found = handlers[name]
  if (found === undefined) return null
  return typeof found === "function" ? { run: found, heartbeatMsMax: null } : found
}
