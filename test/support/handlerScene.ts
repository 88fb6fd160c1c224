import { Effect } from "effect"
import { handlerExecutor, type Handlers } from "../../actors/executor/handler/index.ts"
import { BerthError } from "../../core/errors.ts"
import type { Exit, StopMode } from "../../core/ports/executor.ts"
import type { Program, TaskSpec } from "../../core/task/spec.ts"
import { manualClock } from "./clock.ts"
import { jobOf, type RecordingSink, recordingSink } from "./executorJob.ts"

export const handlerProgram = (handler: string, input: unknown = null): Program => ({ kind: "handler", handler, input })

export const handlerScene = async (
  handlers: Handlers,
  spec: Partial<TaskSpec> = {},
  sink: RecordingSink = recordingSink(),
) => {
  const clock = manualClock()
  const executor = handlerExecutor({ handlers, clock })
  const job = jobOf(handlerProgram(Object.keys(handlers)[0] ?? "none", { n: 20 }), "t1", spec)
  const place = await Effect.runPromise(executor.create(job))
  const start = (): Promise<Exit> => Effect.runPromise(executor.run(job, place, sink))
  const stop = (mode: StopMode): Promise<void> => Effect.runPromise(executor.stop(job, place, mode))
  return { clock, executor, job, place, sink, start, stop }
}

export const refusal = async (promise: Promise<unknown>): Promise<BerthError> => {
  const thrown: unknown = await promise.then(
    () => new Error("it succeeded"),
    (cause: unknown) => cause,
  )
  if (thrown instanceof BerthError) return thrown
  throw thrown
}

/** A handler that ends only when the test says so, and heeds nothing. */
export const deafHandler = () => {
  let finish: (value: unknown) => void = () => undefined
  const handler = () =>
    new Promise<unknown>((resolve) => {
      finish = resolve
    })
  return { handler, finish: (value: unknown) => finish(value) }
}

export const heedful = (_input: unknown, { signal }: { signal: AbortSignal }): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)))
