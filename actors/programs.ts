import { Context, Effect, Layer } from "effect"
import { type BerthError, berthError } from "../core/errors.ts"
import { LIMITS } from "../core/limits.ts"
import { Blobs } from "../core/ports/blobs.ts"
import { EventLog } from "../core/ports/eventLog.ts"
import { stateSubject } from "../core/record.ts"
import type { ProgramRef } from "../core/task/facts.ts"
import type { Program } from "../core/task/spec.ts"

/** Programs that a worker will probably want soon; what is not here is read from the log. */
const CACHE_MAX = 1_024

const programKey = (taskId: string): string => `${taskId}/0/program`

/** Where programs are kept: in a task's first record, or as a blob when they are large. */
export class Programs extends Context.Service<
  Programs,
  {
    /** Makes the program durable, unless it is small enough for the record itself. */
    readonly keep: (taskId: string, program: Program) => Effect.Effect<ProgramRef, BerthError>
    readonly load: (taskId: string) => Effect.Effect<Program, BerthError>
  }
>()("actors/Programs") {}

export const programsLayer: Layer.Layer<Programs, never, EventLog | Blobs> = Layer.effect(
  Programs,
  Effect.gen(function* () {
    const log = yield* EventLog
    const blobs = yield* Blobs
    const recent = new Map<string, Program>()

    const remember = (taskId: string, program: Program): void => {
      const oldest = recent.size >= CACHE_MAX ? recent.keys().next() : undefined
      if (oldest !== undefined && !oldest.done) recent.delete(oldest.value)
      recent.set(taskId, program)
    }

    const fromBlob = Effect.fn("programs.fromBlob")(function* (key: string) {
      const bytes = yield* blobs.get(key)
      if (bytes === null) return yield* Effect.fail(berthError("STORE_CORRUPT", `the program ${key} is missing`))
      return JSON.parse(new TextDecoder().decode(bytes)) as Program
    })

    return {
      keep: (taskId, program) => {
        const bytes = new TextEncoder().encode(JSON.stringify(program))
        if (bytes.length <= LIMITS.programInlineBytesMax) {
          remember(taskId, program)
          return Effect.succeed({ inline: program })
        }
        const blobKey = programKey(taskId)
        return blobs.put(blobKey, bytes).pipe(Effect.as({ blobKey, sizeBytes: bytes.length }))
      },
      load: Effect.fn("programs.load")(function* (taskId) {
        const cached = recent.get(taskId)
        if (cached !== undefined) return cached
        const first = yield* log.after(stateSubject(taskId), 0)
        const fact = first?.record.kind === "task" ? first.record.facts[0] : undefined
        if (fact?.type !== "submitted")
          return yield* Effect.fail(berthError("STORE_CORRUPT", `the first record of ${taskId} is missing`))
        return "inline" in fact.program ? fact.program.inline : yield* fromBlob(fact.program.blobKey)
      }),
    }
  }),
)
