import { Effect } from "effect"
import type { BerthError, ErrorCode } from "../../core/errors.ts"

/** The code that an effect fails with, or `none`. */
export const codeOf = <A, R>(effect: Effect.Effect<A, BerthError, R>): Effect.Effect<ErrorCode | "none", never, R> =>
  Effect.match(effect, { onFailure: (error): ErrorCode | "none" => error.code, onSuccess: () => "none" })
