import { hostname } from "node:os"
import { Effect } from "effect"
import type { BerthError } from "../../core/errors.ts"
import type { Clock } from "../../core/ports/clock.ts"
import type { WorkerInfo, Workers } from "../../core/ports/workers.ts"

const LOOK_MS = 200
/** How much is held changes all the time; that alone is written so often at most. */
const HELD_MS = 2_000
/** An entry that did not change is written again, for a registry that lost it. */
const REPEAT_MS = 10_000

export interface RegistrationOptions {
  readonly workers: Workers["Service"]
  readonly clock: Clock["Service"]
  readonly info: () => Omit<WorkerInfo, "host">
  /** A worker whose lease is not trusted says nothing more of itself. */
  readonly maySpeak: () => boolean
}

/** Keeps a worker's entry in the registry true: written when something of it changes. */
export const makeRegistration = ({ clock, info, maySpeak, workers }: RegistrationOptions) => {
  const host = hostname()
  let written = ""
  let writtenHeld = -1
  let writtenMonoMs = Number.NEGATIVE_INFINITY

  const register: Effect.Effect<void, BerthError> = Effect.suspend(() => {
    const entry: WorkerInfo = { ...info(), host }
    const { held, ...rest } = entry
    const text = JSON.stringify(rest)
    const freshMs = text !== written ? 0 : held !== writtenHeld ? HELD_MS : REPEAT_MS
    if (!maySpeak() || clock.monoMs() - writtenMonoMs < freshMs) return Effect.void
    return Effect.map(workers.put(entry), () => {
      written = text
      writtenHeld = held
      writtenMonoMs = clock.monoMs()
    })
  })
  const run: Effect.Effect<never> = Effect.forever(Effect.andThen(clock.sleep(LOOK_MS), Effect.ignore(register)))
  return { register, run }
}
