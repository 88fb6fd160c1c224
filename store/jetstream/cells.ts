/**
 * A KV bucket: the broker's key-value layout (`KV_<bucket>`, `$KV.<bucket>.<key>`), so that its own tools can look in.
 *
 *   CE1. A revision is a sequence of the bucket's stream: it grows with every change and is never given twice.
 *   CE2. Reads and lists ask the stream's leader; the client's own would ask whichever replica is near, or follow a consumer.
 *   CE3. Removing writes a marker under compare-and-set, and purges it: never what came after it. Who may not purge leaves
 *        the marker, and a list by whoever may takes it away.
 *   CE4. A key's dots are the subject's, so that the broker can allow a user all keys below a name.
 */
import { headers, type MsgHdrs } from "@nats-io/transport-node"
import { Effect } from "effect"
import type { BerthError } from "../../core/errors.ts"
import { decodePayload } from "../shared/payload.ts"
import { storeError } from "./failure.ts"
import type { Link } from "./link.ts"
import { fromTokens, toTokens } from "./token.ts"

const READS_AT_ONCE = 16
const OPERATION = "KV-Operation"

export interface Cell {
  readonly key: string
  readonly revision: number
  /** Null: a marker that somebody is about to purge; the next writer expects its revision. */
  readonly value: unknown
}

export interface Cells {
  readonly read: (key: string) => Effect.Effect<Cell | null, BerthError>
  /** @param expected - revision, 0 for none; fails with VERSION_CONFLICT. Left out: any */
  readonly write: (key: string, bytes: Uint8Array, expected?: number) => Effect.Effect<number, BerthError>
  readonly remove: (key: string, expected?: number) => Effect.Effect<void, BerthError>
  readonly list: (prefix: string) => Effect.Effect<readonly Cell[], BerthError>
}

/** @param mayPurge - whether the broker lets this user purge: that cannot be allowed for one key alone */
export function makeCells(link: Link, bucket: string, mayPurge: boolean): Cells {
  const stream = `KV_${bucket}`
  const prefix = `$KV.${bucket}.`
  const subjectOf = (key: string): Effect.Effect<string, BerthError> =>
    Effect.try({ try: () => prefix + toTokens(key), catch: storeError("naming a key") })

  const read = (key: string, subject: string): Effect.Effect<Cell | null, BerthError> =>
    Effect.flatMap(link.lastOf(stream, subject), (stored) =>
      stored === null
        ? Effect.succeed(null)
        : Effect.try({
            try: () => ({
              key,
              revision: stored.seq,
              value: stored.hasHeader(OPERATION) ? null : decodePayload(stored.data),
            }),
            catch: storeError(`reading ${key} of ${bucket}`),
          }),
    )
  const sweep = ({ key, revision }: Cell): Effect.Effect<void, BerthError> =>
    Effect.flatMap(subjectOf(key), (subject) => link.purge(stream, subject, revision + 1))
  return {
    read: (key) => Effect.flatMap(subjectOf(key), (subject) => read(key, subject)),
    write: (key, bytes, expected) =>
      Effect.flatMap(subjectOf(key), (subject) => link.publish(subject, bytes, expected)),
    remove: (key, expected) =>
      Effect.gen(function* () {
        const subject = yield* subjectOf(key)
        const marker = yield* link.publish(subject, new Uint8Array(0), expected, deleted())
        if (mayPurge) yield* link.purge(stream, subject, marker + 1)
      }),
    list: (begin) =>
      Effect.gen(function* () {
        const info = yield* link.look(`listing ${bucket}`, () =>
          link.jsm.streams.info(stream, { subjects_filter: `${prefix}>` }),
        )
        const keys = Object.keys(info.state.subjects ?? {}).map((subject) => fromTokens(subject.slice(prefix.length)))
        const cells = yield* Effect.forEach(
          keys.filter((key) => key.startsWith(begin)).sort(),
          (key) => Effect.flatMap(subjectOf(key), (subject) => read(key, subject)),
          { concurrency: READS_AT_ONCE },
        )
        const found = cells.filter((cell) => cell !== null)
        if (mayPurge) yield* Effect.forEach(found.filter(isMarker), sweep, { discard: true })
        return found.filter((cell) => !isMarker(cell))
      }),
  }
}

const isMarker = ({ value }: Cell): boolean => value === null

const deleted = (): MsgHdrs => {
  const marker = headers()
  marker.set(OPERATION, "DEL")
  return marker
}
