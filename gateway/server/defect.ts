import { Cause } from "effect"
import { asBerthError, berthError, type BerthError } from "../../core/errors.ts"
import type { Logger } from "../../core/telemetry.ts"

/**
 * What the other side is told of a failure. An expected one as it is; of a defect only that there is one: which, the log says.
 *
 * @param where - goes to the log with the defect
 * @param what - has the defect, such as "a method"
 */
export function errorToTell(cause: Cause.Cause<BerthError>, logger: Logger, where: object, what: string): BerthError {
  if (Cause.hasInterruptsOnly(cause)) return berthError("SHUTTING_DOWN", "the call was interrupted")
  const failure = Cause.squash(cause)
  const error = asBerthError(failure)
  if (error.code !== "INTERNAL") return error
  logger.error({ ...where, err: failure }, `${what} has a defect`)
  return berthError("INTERNAL", "this is a defect of the server; its log names it")
}
