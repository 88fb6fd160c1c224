/**
 * The fence: while the worker's lease is not trusted, nothing that it started runs.
 *
 *   open ──trust ends──▶ closed: pause, look again, pause … ──trusted again──▶ unpause ──▶ open
 *
 *   FE1. While it is closed nothing is started, fed or adopted, and everything in hand is paused; what only just came up is
 *        found by the next pass.
 *   FE2. It opens again only after the lease was renewed at its own revision: nobody else can have taken anything over.
 *   FE3. What could not be held (its engine does not answer) is told, once per time that the fence was closed.
 *   FE4. Neither closing nor opening waits for an engine: one that hangs keeps nobody else's programs running. What it was
 *        asked about a program is waited for before it is asked the opposite, so that no late pause stops what runs again,
 *        and nothing that is believed to stand was told to go on.
 *
 * A time limit goes on while a program is paused: the watcher inside its container has no other clock.
 */
import { Effect, Latch } from "effect"
import type { BerthError } from "../../core/errors.ts"
import type { Clock } from "../../core/ports/clock.ts"
import type { ExecutorShape, Placement } from "../../core/ports/executor.ts"
import type { WorkerLease } from "./lease.ts"

/** Between two passes while the fence is closed. */
const PASS_MS = 250

/** One place in the worker's hands. */
export interface HeldPlace {
  readonly taskId: string
  readonly epoch: number
  readonly executor: ExecutorShape
  readonly place: Placement
}

export interface FenceOptions {
  readonly clock: Clock["Service"]
  readonly lease: Pick<WorkerLease, "isTrusted" | "trustedUntilMonoMs">
  /** From the closing to the end of the lease. */
  readonly marginMs: number
  readonly places: () => readonly HeldPlace[]
  /** Told when the fence closes, and with the tasks of which nobody knows whether they stand still. */
  readonly onClosed: () => void
  readonly onUnconfirmed: (taskIds: readonly string[]) => void
  /** Told of what was paused when it goes on. */
  readonly onOpened: (paused: readonly HeldPlace[], closedMs: number) => void
}

export interface Fence {
  readonly isOpen: () => boolean
  /** Resolves while the fence is open. */
  readonly open: Effect.Effect<void>
  /** Watches the lease for ever. */
  readonly run: Effect.Effect<never>
}

/** What was tried with one place since the fence closed. */
interface Attempted {
  readonly held: HeldPlace
  /** It was asked something: until that has come back, nothing else is asked of this place. */
  underWay: boolean
  /** What it answered to the last thing that it was asked; null: nobody knows. */
  known: "stands" | "goesOn" | null
}

export const makeFence = (options: FenceOptions): Fence => {
  const { clock, lease } = options
  const latch = Latch.makeUnsafe(true)

  /** Whatever is asked of it, what was known of it before holds no more: an answer may be lost, and what it tells done. */
  const ask = (one: Attempted, call: Effect.Effect<Attempted["known"], BerthError>): Effect.Effect<void> =>
    Effect.suspend(() => {
      one.underWay = true
      one.known = null
      return call
    }).pipe(
      Effect.map((known) => {
        one.known = known
      }),
      Effect.ignore,
      Effect.ensuring(
        Effect.sync(() => {
          one.underWay = false
        }),
      ),
    )

  const pause = (one: Attempted) =>
    ask(
      one,
      Effect.map(one.held.executor.pause(one.held.place), (stands) => (stands ? "stands" : null)),
    )
  const unpause = (one: Attempted) => ask(one, Effect.as(one.held.executor.unpause(one.held.place), "goesOn"))

  /** FE1, FE4. Everything in hand that is not known to stand still. */
  const pass = (attempted: Map<Placement, Attempted>): Effect.Effect<void> => {
    const held = options.places()
    const places = new Set(held.map(({ place }) => place))
    for (const place of attempted.keys()) if (!places.has(place)) attempted.delete(place)
    for (const one of held)
      if (!attempted.has(one.place)) attempted.set(one.place, { held: one, underWay: false, known: null })
    const moving = [...attempted.values()].filter(({ known, underWay }) => known !== "stands" && !underWay)
    return Effect.forEach(moving, (one) => Effect.forkDetach(pause(one)), { discard: true })
  }

  /** FE2, FE4. What was tried may have succeeded without saying so, so everything is told to go on. */
  const release = (attempted: Map<Placement, Attempted>): Effect.Effect<void> => {
    const waiting = [...attempted.values()].filter(({ known, underWay }) => known !== "goesOn" && !underWay)
    return Effect.forEach(waiting, (one) => Effect.forkDetach(unpause(one)), { discard: true })
  }

  const closed = Effect.gen(function* () {
    const sinceMonoMs = clock.monoMs()
    const attempted = new Map<Placement, Attempted>()
    const paused = new Map<Placement, HeldPlace>()
    let isTold = false
    let distrustedMonoMs = sinceMonoMs
    latch.closeUnsafe()
    options.onClosed()
    for (;;) {
      for (const [place, { held, known }] of attempted) if (known === "stands") paused.set(place, held)
      if (lease.isTrusted()) {
        if ([...attempted.values()].every(({ known }) => known === "goesOn")) break
        yield* release(attempted)
        distrustedMonoMs = clock.monoMs()
      } else {
        yield* pass(attempted)
        const moving = [...attempted.values()].filter(({ known }) => known !== "stands")
        if (!isTold && moving.length > 0 && clock.monoMs() - distrustedMonoMs >= options.marginMs) {
          isTold = true
          options.onUnconfirmed(moving.map(({ held }) => held.taskId))
        }
      }
      yield* clock.sleep(PASS_MS)
    }
    latch.openUnsafe()
    options.onOpened([...paused.values()], clock.monoMs() - sinceMonoMs)
  })

  const run = Effect.gen(function* () {
    for (;;) {
      const leftMs = lease.trustedUntilMonoMs() - clock.monoMs()
      if (leftMs > 0) yield* clock.sleep(leftMs)
      else yield* closed
    }
  }) as Effect.Effect<never>

  return { isOpen: () => lease.isTrusted() && latch.isOpen(), open: latch.await, run }
}
