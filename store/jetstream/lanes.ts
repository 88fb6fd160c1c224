import { AckPolicy, type ConsumerInfo, JetStreamApiError } from "@nats-io/jetstream"
import { nanos } from "@nats-io/transport-node"
import { Effect } from "effect"
import { asBerthError, type BerthError } from "../../core/errors.ts"
import { LANES, type Lane } from "../../core/words.ts"
import type { Link } from "./link.ts"
import { type Names, toToken } from "./token.ts"

/** A durable consumer of this name is there already, with other settings. */
const EXISTS_OTHERWISE: ReadonlySet<number> = new Set([10013, 10105, 10148])

/** The consumers of the queue: one for each pool and lane, made when it is first needed. */
export interface Lanes {
  readonly stream: string
  /** The consumer's name. */
  readonly of: (pool: string, lane: Lane) => Effect.Effect<string, BerthError>
  readonly info: (pool: string, lane: Lane) => Effect.Effect<ConsumerInfo, BerthError>
  /** The broker does not know one of a pool's any more, and so perhaps none: make them anew next time. */
  readonly forget: (pool: string) => void
}

export function makeLanes(link: Link, names: Names, ackWaitMs: number): Lanes {
  const known = new Set<string>()
  const make = async (pool: string, lane: Lane, name: string): Promise<void> => {
    const settings = { ack_wait: nanos(ackWaitMs), max_deliver: -1, max_ack_pending: -1 }
    const { consumers } = link.jsm
    try {
      await consumers.add(names.queueStream, {
        durable_name: name,
        filter_subject: `${names.prefix}q.${toToken(pool)}.${lane}.*`,
        ack_policy: AckPolicy.Explicit,
        ...settings,
      })
    } catch (cause) {
      if (!(cause instanceof JetStreamApiError && EXISTS_OTHERWISE.has(cause.code))) throw cause
      await consumers.update(names.queueStream, name, settings)
    }
  }
  const of = (pool: string, lane: Lane): Effect.Effect<string, BerthError> =>
    Effect.gen(function* () {
      const name = yield* Effect.try({ try: () => consumerName(pool, lane), catch: asBerthError })
      if (known.has(name)) return name
      yield* link.ask(`making the consumer of ${pool}'s lane ${lane}`, () => make(pool, lane, name))
      known.add(name)
      return name
    })
  return {
    stream: names.queueStream,
    of,
    info: (pool, lane) =>
      Effect.flatMap(of(pool, lane), (consumer) =>
        link.look(`counting ${pool}'s lane ${lane}`, () => link.jsm.consumers.info(names.queueStream, consumer)),
      ),
    forget: (pool) => LANES.forEach((lane) => known.delete(consumerName(pool, lane))),
  }
}

/** The name of the consumer of a lane. */
export const consumerName = (pool: string, lane: Lane): string => `${toToken(pool)}_${lane}`
