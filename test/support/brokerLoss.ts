/** Writers and readers of a log on three brokers, of which one at a time is killed and comes back; and the books compared. */
import { Context, Effect, Fiber } from "effect"
import { expect } from "vitest"
import type { BerthError } from "../../core/errors.ts"
import { EventLog } from "../../core/ports/eventLog.ts"
import { type Seq, stateSubject } from "../../core/record.ts"
import { chooseVictim, leaderOfLog } from "./brokerTrouble.ts"
import type { NatsRig } from "./nats.ts"
import { submitted, updated } from "./task.ts"

type Log = EventLog["Service"]

const WRITERS = 6
const AGAIN_MS = 50
/** Between two kills, and how long the killed one is away. */
const QUIET_MS = 1_000
const AWAY_MS = 1_000

export interface Loss {
  readonly killed: readonly string[]
  readonly acknowledged: number
  /** The longest that one append, or one read, took from its first try to its answer. */
  readonly appendMsMax: number
  readonly readMsMax: number
}

/** Tries until it is done; the milliseconds that it took. */
const persistent = <A>(act: Effect.Effect<A, BerthError>): Effect.Effect<readonly [A, number], BerthError> =>
  Effect.suspend(() => {
    const beganMonoMs = performance.now()
    const again: Effect.Effect<A, BerthError> = Effect.catch(act, (error) =>
      error.retryable && error.code !== "VERSION_CONFLICT" ? Effect.delay(again, AGAIN_MS) : Effect.fail(error),
    )
    return Effect.map(again, (answer) => [answer, performance.now() - beganMonoMs] as const)
  })

/** A chain of versions of one task; an append whose answer was lost is looked for, as every caller must. */
const write = (log: Log, id: string, isOver: () => boolean, acknowledged: Seq[], tell: (ms: number) => void) =>
  Effect.gen(function* () {
    const subject = stateSubject(id)
    const first = submitted({ id })
    for (let version = 0, n = 0; !isOver(); n++) {
      const record = n === 0 ? first : { ...updated(first.state, { n: String(n) }), recordId: `${id}-${n}` }
      const act = log
        .append(subject, version, record)
        .pipe(
          Effect.catch((error) =>
            Effect.flatMap(log.after(subject, version), (winner) =>
              winner?.record.kind === "task" && winner.record.recordId === record.recordId
                ? Effect.succeed(winner.seq)
                : Effect.fail(error),
            ),
          ),
        )
      const [seq, ms] = yield* persistent(act)
      acknowledged.push(seq)
      tell(ms)
      version = seq
    }
  })

/** The broker that leads the log. */
const leads = (rig: NatsRig, cluster: string): Effect.Effect<string | undefined> =>
  Effect.scoped(Effect.flatMap(rig.manager, (manager) => Effect.promise(() => leaderOfLog(manager, cluster)))).pipe(
    Effect.catchCause(() => Effect.succeed(undefined)),
  )

/** Kills one of three so many times under load. Fails when anything acknowledged is missing, or is there twice. */
export const loseBrokers = (rig: NatsRig, kills: number) =>
  Effect.gen(function* () {
    const cluster = rig.newCluster()
    const log = Context.get(yield* rig.open({ cluster }), EventLog)
    const chains = Array.from({ length: WRITERS }, (_, n) => ({ id: `t${n}`, acknowledged: [] as Seq[] }))
    let isOver = false
    let appendMsMax = 0
    let readMsMax = 0
    const writers = yield* Effect.forkChild(
      Effect.forEach(
        chains,
        ({ acknowledged, id }) =>
          write(
            log,
            id,
            () => isOver,
            acknowledged,
            (ms) => void (appendMsMax = Math.max(appendMsMax, ms)),
          ),
        { concurrency: "unbounded", discard: true },
      ),
    )
    const reader = yield* Effect.forkChild(
      Effect.gen(function* () {
        for (let seen = 0; !isOver; ) {
          const [entry, ms] = yield* persistent(log.last("t0"))
          readMsMax = Math.max(readMsMax, ms)
          expect(entry?.seq ?? 0).toBeGreaterThanOrEqual(seen)
          seen = entry?.seq ?? 0
        }
      }),
    )
    const killed: string[] = []
    for (let n = 0; n < kills; n++) {
      yield* Effect.sleep(QUIET_MS)
      const leader = yield* leads(rig, cluster)
      const victim = chooseVictim(rig.brokers, leader, n)
      yield* Effect.promise(() => victim.stop("SIGKILL"))
      killed.push(victim.place.name === leader ? `${victim.place.name}, which led` : victim.place.name)
      yield* Effect.sleep(AWAY_MS)
      victim.start()
      yield* Effect.promise(() => victim.ready())
    }
    isOver = true
    yield* Fiber.join(writers)
    yield* Fiber.join(reader)
    for (const { acknowledged, id } of chains) {
      const [entries] = yield* persistent(log.readTask(id, 0, acknowledged.length + 100))
      expect(entries.map(({ seq }) => seq)).toEqual(acknowledged)
    }
    const count = chains.reduce((sum, { acknowledged }) => sum + acknowledged.length, 0)
    return { killed, acknowledged: count, appendMsMax, readMsMax } satisfies Loss
  })
