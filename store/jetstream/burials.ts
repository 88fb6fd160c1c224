/**
 * The second half of a burial: removing what is before a task's tombstone.
 *
 * The broker can allow a user to purge a whole stream or nothing, and the log's stream holds `control` too. So only who
 * manages the cluster purges; everybody else asks one of those, who looks for himself that a tombstone stands there.
 */
import { Effect, type Scope } from "effect"
import { asBerthError, berthError, type BerthError } from "../../core/errors.ts"
import { ID_PATTERN, outputSubject, type Seq, stateSubject } from "../../core/record.ts"
import { decodeRecord } from "../shared/codec.ts"
import { decodePayload, encodePayload } from "../shared/payload.ts"
import { isUnheard } from "./failure.ts"
import type { Link } from "./link.ts"
import { logPrefix, type Names } from "./token.ts"

/** Those who manage share the requests out among them. */
const MANAGERS = "managers"
const DONE = "+OK"

export interface Burials {
  /** Removes the output of a task, and its state records before `seq`, where its tombstone is. */
  readonly finish: (taskId: string, seq: Seq) => Effect.Effect<void, BerthError>
}

interface Request {
  readonly taskId: string
  readonly seq: Seq
}

export const openBurials = (
  link: Link,
  names: Names,
  manages: boolean,
): Effect.Effect<Burials, BerthError, Scope.Scope> =>
  Effect.gen(function* () {
    const subject = `${names.prefix}bury`
    if (!manages) return { finish: (taskId, seq) => ask(link, subject, { taskId, seq }) }
    const finish = purging(link, names)
    yield* link.listen(
      subject,
      (message) => {
        const answer = (text: string): void => void message.respond(text)
        Effect.runCallback(askedFor(link, names, finish, message.data), {
          onExit: (exit) => answer(exit._tag === "Success" ? DONE : "-ERR"),
        })
      },
      MANAGERS,
    )
    return { finish }
  })

const purging =
  (link: Link, names: Names): Burials["finish"] =>
  (taskId, seq) =>
    Effect.andThen(
      link.purge(names.logStream, logPrefix(names) + stateSubject(taskId), seq),
      link.purge(names.logStream, logPrefix(names) + outputSubject(taskId)),
    )

/** Nothing that others say is believed: the tombstone must be the task's last record. */
const askedFor = (
  link: Link,
  names: Names,
  finish: Burials["finish"],
  bytes: Uint8Array,
): Effect.Effect<void, BerthError> =>
  Effect.gen(function* () {
    const { seq, taskId } = yield* Effect.try({ try: () => requestOf(bytes), catch: asBerthError })
    const stored = yield* link.lastOf(names.logStream, logPrefix(names) + stateSubject(taskId))
    const isBuried = yield* Effect.try({
      try: () => stored?.seq === seq && decodeRecord(stored.data).kind === "tombstone",
      catch: asBerthError,
    })
    if (!isBuried) return yield* Effect.fail(berthError("WRONG_STATE", `task ${taskId} has no tombstone at ${seq}`))
    yield* finish(taskId, seq)
  })

function requestOf(bytes: Uint8Array): Request {
  const request = decodePayload(bytes) as Request
  if (ID_PATTERN.test(request.taskId) && Number.isSafeInteger(request.seq)) return request
  throw berthError("INVALID_PARAMS", "this asks for no burial")
}

const ask = (link: Link, subject: string, request: Request): Effect.Effect<void, BerthError> =>
  link.request(`purging task ${request.taskId}`, subject, encodePayload(request)).pipe(
    Effect.mapError((error) =>
      isUnheard(error)
        ? berthError("STORE_UNAVAILABLE", "nobody is there who may purge", {
            cause: error,
            hint: "Start a node with the role leader; deleting again goes on where it stopped.",
          })
        : error,
    ),
    Effect.flatMap((answer) =>
      answer.string() === DONE
        ? Effect.void
        : Effect.fail(berthError("STORE_UNAVAILABLE", `purging task ${request.taskId} did not succeed`)),
    ),
  )
