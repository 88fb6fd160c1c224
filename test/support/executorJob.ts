import { Effect } from "effect"
import type { AttemptSink, Job } from "../../core/ports/executor.ts"
import type { Program, TaskSpec } from "../../core/task/spec.ts"
import type { OutputStream } from "../../core/words.ts"

/** A spec as the door would have made it, with the usual values. */
export const specOf = (program: Program, more: Partial<TaskSpec> = {}): TaskSpec => ({
  kind: program.kind,
  target: program.kind === "runtime" ? program.runtime : program.kind === "image" ? program.image : program.handler,
  lane: "normal",
  pool: "default",
  labels: {},
  retry: { maxAttempts: 1, delayMsInitial: 1_000, delayMsMax: 60_000, factor: 2 },
  timeoutMs: 60_000,
  graceMs: 2_000,
  startAtMs: null,
  startByMs: null,
  onLost: "retry",
  limits: { memoryBytes: 256 * 1024 * 1024, cpuMilli: 1_000, pidsMax: 64, tmpfsBytes: 64 * 1024 * 1024 },
  artifacts: false,
  requestHash: "0".repeat(64),
  idempotencyKey: null,
  ...more,
})

/** A job of owner `u` on worker `w`, slot 0, first attempt, epoch 1. */
export const jobOf = (program: Program, taskId = "task", spec: Partial<TaskSpec> = {}): Job => ({
  taskId,
  owner: "u",
  attempt: 1,
  epoch: 1,
  worker: "w",
  spec: specOf(program, spec),
  program,
  slot: 0,
})

export interface RecordingSink extends AttemptSink {
  readonly begins: () => number
  readonly text: (stream: OutputStream) => string
  readonly bytes: (stream: OutputStream) => Uint8Array
  readonly losses: readonly { readonly stream: OutputStream; readonly offset: number; readonly bytes: number | null }[]
  readonly progresses: readonly unknown[]
  /** Resolves when the program has begun. */
  readonly untilBegan: Promise<void>
  /** Resolves when the stream's text contains `part`. */
  readonly untilText: (stream: OutputStream, part: string) => Promise<void>
}

/** Keeps what an executor tells, and fails on a byte that is out of order. */
export const recordingSink = (
  options: { readonly beforeWrite?: Effect.Effect<void>; readonly from?: number } = {},
): RecordingSink => {
  const chunks: Record<OutputStream, Uint8Array[]> = { stdout: [], stderr: [] }
  const next: Record<OutputStream, number> = { stdout: options.from ?? 0, stderr: options.from ?? 0 }
  const losses: { stream: OutputStream; offset: number; bytes: number | null }[] = []
  const progresses: unknown[] = []
  const watchers = new Set<() => void>()
  let begins = 0
  let onBegan = (): void => undefined
  const untilBegan = new Promise<void>((resolve) => {
    onBegan = resolve
  })
  const bytes = (stream: OutputStream): Uint8Array => Buffer.concat(chunks[stream])
  const inOrder = (stream: OutputStream, offset: number, sizeBytes: number): void => {
    if (offset !== next[stream]) throw new Error(`${stream} is at ${next[stream]}, but was given ${offset}`)
    next[stream] += sizeBytes
  }
  return {
    began: Effect.sync(() => {
      begins++
      onBegan()
    }),
    write: (stream, offset, part) =>
      Effect.andThen(
        options.beforeWrite ?? Effect.void,
        Effect.sync(() => {
          inOrder(stream, offset, part.length)
          chunks[stream].push(Uint8Array.from(part))
          for (const look of watchers) look()
        }),
      ),
    lost: (stream, offset, sizeBytes) =>
      Effect.sync(() => {
        inOrder(stream, offset, sizeBytes ?? 0)
        losses.push({ stream, offset, bytes: sizeBytes })
      }),
    progress: (data) => Effect.sync(() => void progresses.push(data)),
    begins: () => begins,
    bytes,
    text: (stream) => Buffer.from(bytes(stream)).toString(),
    losses,
    progresses,
    untilBegan,
    untilText: (stream, part) =>
      new Promise<void>((resolve) => {
        const look = (): void => {
          if (!Buffer.from(bytes(stream)).toString().includes(part)) return
          watchers.delete(look)
          resolve()
        }
        watchers.add(look)
        look()
      }),
  }
}
