import { Effect } from "effect"
import type { BerthError, ErrorCode } from "../core/errors.ts"
import type { EventLog } from "../core/ports/eventLog.ts"
import type { ControlRecord, Seq, TaskRecord } from "../core/record.ts"

/** After these the record may be in the log all the same; after any other it is not. */
const UNKNOWN_ENDS: ReadonlySet<ErrorCode> = new Set(["VERSION_CONFLICT", "STORE_UNAVAILABLE", "DEADLINE_EXCEEDED"])

/** True for a failure of `appendOnce` after which the record is not in the log, and never will be. */
export const isSurelyAbsent = ({ code }: BerthError): boolean => code === "VERSION_CONFLICT" || !UNKNOWN_ENDS.has(code)

/**
 * Appends, and tells an append that succeeded without saying so from one that lost: by the first record after the expected
 * version (EL5). The last one may already be somebody else's, on top of ours.
 */
export const appendOnce = (
  log: EventLog["Service"],
  subject: string,
  expected: Seq,
  record: TaskRecord | ControlRecord,
): Effect.Effect<Seq, BerthError> => {
  const recognise = (error: BerthError): Effect.Effect<Seq, BerthError> =>
    Effect.flatMap(log.after(subject, expected), (first) => {
      const found = first?.record
      const isMine = (found?.kind === "task" || found?.kind === "control") && found.recordId === record.recordId
      return first !== null && isMine ? Effect.succeed(first.seq) : Effect.fail(error)
    })
  return Effect.catch(log.append(subject, expected, record), (error) =>
    UNKNOWN_ENDS.has(error.code) ? recognise(error) : Effect.fail(error),
  )
}
