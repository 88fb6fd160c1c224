/**
 * The connection to the broker, and the few requests that every adapter is made of.
 *
 *   LK1. A request ends: with its answer, or with a typed error within `REQUEST_MS`. What happened then is unknown.
 *   LK2. Reads ask the stream's leader (`STREAM.MSG.GET`), never a replica: a direct get may be answered by one that lags.
 *   LK3. A publish is sent once. Whoever lost the reply looks at the log; a repeat from here could not be told from a rival.
 *        Questions that change nothing are repeated from here (wire.ts).
 *   LK4. The broker tells of a subject that our user may not use on the side, with no answer to what was asked: whoever waits
 *        for one on that subject gets a typed error that names it.
 */
import { jetstream, jetstreamManager, type JetStreamClient, type JetStreamManager } from "@nats-io/jetstream"
import type { Msg, MsgHdrs, NatsConnection } from "@nats-io/transport-node"
import { Effect, type Scope } from "effect"
import { berthError, type BerthError } from "../../core/errors.ts"
import type { Clock } from "../../core/ports/clock.ts"
import { expecting, type Stored, seqOf, storedOf } from "./answers.ts"
import { dial, type DialOptions } from "./dial.ts"
import { isUnheard, storeError } from "./failure.ts"
import { Questions, REQUEST_MS } from "./questions.ts"
import { watchConnection, type Refusals } from "./refusals.ts"
import { asking, insisting, Wire } from "./wire.ts"

/** Older servers lost whole streams when they were killed. */
const VERSION_MIN = [2, 10, 23] as const

export interface LinkOptions extends DialOptions {
  /** Told what the connection goes through: lost, back on which server, a subject that was refused. */
  readonly notice?: (what: string) => void
}

export interface Link {
  readonly connection: NatsConnection
  readonly js: JetStreamClient
  readonly jsm: JetStreamManager
  readonly version: readonly number[]
  /**
   * Stores one message; gives its sequence.
   * @param expected - of the subject's last message, 0 for none; fails with VERSION_CONFLICT. Left out: any
   */
  readonly publish: (
    subject: string,
    bytes: Uint8Array,
    expected?: number,
    headers?: MsgHdrs,
  ) => Effect.Effect<number, BerthError>
  /** Sends one message; gives the answer to it. */
  readonly request: (what: string, subject: string, payload: Uint8Array | string) => Effect.Effect<Msg, BerthError>
  readonly lastOf: (stream: string, subject: string) => Effect.Effect<Stored | null, BerthError>
  /** The first message after a sequence; the subject may have wildcards. */
  readonly firstAfter: (stream: string, subject: string, afterSeq: number) => Effect.Effect<Stored | null, BerthError>
  /** Removes the messages of a subject, with `beforeSeq` only those before it. */
  readonly purge: (stream: string, subject: string, beforeSeq?: number) => Effect.Effect<void, BerthError>
  /** Awaits any other answer of the broker, asked once. */
  readonly ask: <A>(what: string, question: () => Promise<A>) => Effect.Effect<A, BerthError>
  /** Awaits the answer to a question that changes nothing, which is asked again while nobody answers. */
  readonly look: <A>(what: string, question: () => Promise<A>) => Effect.Effect<A, BerthError>
  /** Resolves while there is a connection; fails when there is none for some time. */
  readonly up: Effect.Effect<void, BerthError>
  /** Calls back once when the connection is lost; returns what ends that. */
  readonly onLost: (told: () => void) => () => void
  /** Messages of a subject until the scope closes; returns when the broker has taken note. `queue` shares them out. */
  readonly listen: (
    subject: string,
    onMessage: (message: Msg) => void,
    queue?: string,
  ) => Effect.Effect<void, BerthError, Scope.Scope>
  /** Calls back when the broker refuses this user a subject that begins so; returns what ends that. */
  readonly onRefused: Refusals["onRefused"]
}

/** Connects, and reconnects for as long as the scope is open. Fails with CONFIG_INVALID for a server that is too old. */
export const openLink = (options: LinkOptions, clock: Clock["Service"]): Effect.Effect<Link, BerthError, Scope.Scope> =>
  Effect.gen(function* () {
    const connection = yield* Effect.acquireRelease(
      Effect.tryPromise({ try: () => dial(options), catch: storeError("connecting to the broker") }),
      (opened) => Effect.promise(() => opened.close()),
    )
    const wire = new Wire()
    const refusals = watchConnection(connection, wire, options.notice ?? (() => {}))
    const version = numbersOf(connection.info?.version ?? "0")
    yield* assertVersion(version)
    const jsm = yield* Effect.tryPromise({
      try: () => jetstreamManager(connection, { timeout: REQUEST_MS }),
      catch: (cause) => (isUnheard(cause) ? jetstreamOff(cause) : storeError("asking for JetStream")(cause)),
    })
    return linkOver({ connection, clock, jsm, version, refusals, wire })
  })

const jetstreamOff = (cause: unknown): BerthError =>
  berthError("CONFIG_INVALID", "the broker does not do JetStream", {
    cause,
    path: "nats.servers",
    hint: "Turn it on: `jetstream {}` in nats-server's configuration.",
  })

interface LinkParts extends Pick<Link, "connection" | "jsm" | "version"> {
  readonly clock: Clock["Service"]
  readonly refusals: Refusals
  readonly wire: Wire
}

function linkOver({ clock, connection, jsm, refusals, version, wire }: LinkParts): Link {
  const js = jetstream(connection, { timeout: REQUEST_MS })
  const questions = new Questions({ connection, clock, wire, onRefused: refusals.onRefused })
  const read = (stream: string, subject: string, query: object): Effect.Effect<Stored | null, BerthError> => {
    const what = `reading ${subject}`
    const asked = { what, subject: `$JS.API.STREAM.MSG.GET.${stream}`, payload: JSON.stringify(query), read: storedOf }
    return insisting({ clock, what, wire }, questions.question(asked))
  }
  const ask: Link["ask"] = (what, question) => asking(wire, wire.carried(question, storeError(what)))
  return {
    connection,
    js,
    jsm,
    version,
    ask,
    look: (what, question) => insisting({ clock, what, wire }, wire.carried(question, storeError(what))),
    up: wire.up,
    onLost: (told) => wire.onBroken(told),
    onRefused: refusals.onRefused,
    listen: (subject, onMessage, queue) => listening(connection, subject, onMessage, queue),
    publish: (subject, bytes, expected, headers) => {
      const options = { headers: expecting(expected, headers), read: seqOf }
      return asking(wire, questions.question({ what: `storing on ${subject}`, subject, payload: bytes, ...options }))
    },
    request: (what, subject, payload) =>
      asking(wire, questions.question({ what, subject, payload, read: (answer) => answer })),
    lastOf: (stream, subject) => read(stream, subject, { last_by_subj: subject }),
    // The server has known this question since 2.9.
    firstAfter: (stream, subject, afterSeq) => read(stream, subject, { seq: afterSeq + 1, next_by_subj: subject }),
    purge: (stream, subject, beforeSeq) =>
      Effect.asVoid(
        ask(`purging ${subject}`, () =>
          jsm.streams.purge(
            stream,
            beforeSeq === undefined ? { filter: subject } : { filter: subject, seq: beforeSeq },
          ),
        ),
      ),
  }
}

const listening = (
  connection: NatsConnection,
  subject: string,
  onMessage: (message: Msg) => void,
  queue: string | undefined,
): Effect.Effect<void, BerthError, Scope.Scope> => {
  const failed = storeError(`listening to ${subject}`)
  let refused: Error | null = null
  const callback = (error: Error | null, message: Msg): void => {
    if (error === null) onMessage(message)
    else refused = error
  }
  return Effect.acquireRelease(
    Effect.try({
      try: () => connection.subscribe(subject, { callback, ...(queue === undefined ? {} : { queue }) }),
      catch: failed,
    }),
    (subscription) => Effect.sync(() => subscription.unsubscribe()),
  ).pipe(
    // Once the broker has answered, what anybody publishes is heard; a refusal comes before its answer.
    Effect.andThen(Effect.tryPromise({ try: () => connection.flush(), catch: failed })),
    Effect.flatMap(() => (refused === null ? Effect.void : Effect.fail(failed(refused)))),
  )
}

const numbersOf = (version: string): readonly number[] =>
  version.split(".").map((part) => Number.parseInt(part, 10) || 0)

/** Whether a server is at least of a version. Older ones silently ignore what they do not know. */
export const isAtLeast = (version: readonly number[], wanted: readonly number[]): boolean => {
  for (let part = 0; part < wanted.length; part++) {
    const difference = (version[part] ?? 0) - (wanted[part] ?? 0)
    if (difference !== 0) return difference > 0
  }
  return true
}

/** Exported for its test: an old server is not to be had everywhere. */
export const assertVersion = (version: readonly number[]): Effect.Effect<void, BerthError> =>
  isAtLeast(version, VERSION_MIN)
    ? Effect.void
    : Effect.fail(
        berthError("CONFIG_INVALID", `nats-server ${version.join(".")} is too old`, {
          path: "servers",
          hint: `Run nats-server ${VERSION_MIN.join(".")} or newer (2.15 is recommended): older ones lose streams when they are killed.`,
        }),
      )
