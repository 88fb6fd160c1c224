import { createHash } from "node:crypto"
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

/** Named by its content: two submits with one idempotency key and different programs must not overwrite each other's. */
const programKey = (taskId: string, bytes: Uint8Array): string =>
  `${taskId}/0/${createHash("sha256").update(bytes).digest("hex")}`

/** Where programs are kept: in a task's first record, or as a blob when they are large. */
export class Programs extends Context.Service<
  Programs,
  {
    /** Makes the program durable, unless it is small enough for the record itself. */
    readonly keep: (taskId: string, program: Program) => Effect.Effect<ProgramRef, BerthError>
    /** Keeps a program at hand whose task was accepted: it will be wanted soon, and once. */
    readonly remember: (taskId: string, program: Program) => void
    /** Gives up what `keep` made for a task that did not come to be; a blob that the task of this id has is left alone. */
    readonly discard: (taskId: string, ref: ProgramRef) => Effect.Effect<void, BerthError>
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

    /** Where the log says that a task's program is; null without a first record. */
    const refOf = (taskId: string): Effect.Effect<ProgramRef | null, BerthError> =>
      Effect.map(log.after(stateSubject(taskId), 0), (first) => {
        const fact = first?.record.kind === "task" ? first.record.facts[0] : undefined
        return fact?.type === "submitted" ? fact.program : null
      })

    const fromBlob = Effect.fnUntraced(function* (key: string) {
      const bytes = yield* blobs.get(key)
      if (bytes === null) return yield* Effect.fail(berthError("STORE_CORRUPT", `the program ${key} is missing`))
      return JSON.parse(new TextDecoder().decode(bytes)) as Program
    })

    return {
      remember,
      keep: (taskId, program) => {
        const bytes = new TextEncoder().encode(JSON.stringify(program))
        if (bytes.length <= LIMITS.programInlineBytesMax) return Effect.succeed({ inline: program })
        const blobKey = programKey(taskId, bytes)
        return blobs.put(blobKey, bytes).pipe(Effect.as({ blobKey, sizeBytes: bytes.length }))
      },
      discard: Effect.fnUntraced(function* (taskId, ref) {
        if ("inline" in ref) return
        const used = yield* refOf(taskId)
        if (used !== null && "blobKey" in used && used.blobKey === ref.blobKey) return
        yield* blobs.removePrefix(ref.blobKey)
      }),
      load: Effect.fnUntraced(function* (taskId) {
        const cached = recent.get(taskId)
        recent.delete(taskId)
        if (cached !== undefined) return cached
        const ref = yield* refOf(taskId)
        if (ref === null)
          return yield* Effect.fail(berthError("STORE_CORRUPT", `the first record of ${taskId} is missing`))
        return "inline" in ref ? ref.inline : yield* fromBlob(ref.blobKey)
      }),
    }
  }),
)
