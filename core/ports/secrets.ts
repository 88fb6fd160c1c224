import { Context, type Effect } from "effect"
import type { BerthError } from "../errors.ts"

/**
 * Values that programs get by name and that nothing else ever holds: not a record, an answer, an event or a log line.
 * Guarantees, each a test in test/contract/secrets.contract.ts:
 *
 *   SE1. `set` is durable before it returns and replaces an earlier value; `remove` of an unknown name is no error.
 *   SE2. `resolve` gives exactly what was set by the same owner; a missing name fails with NOT_FOUND, naming the name only.
 *   SE3. Owners do not see each other: the same name is another secret for another owner.
 *   SE4. What is stored is encrypted and authenticated with the owner and the name: a value that was moved or damaged is
 *        STORE_CORRUPT, never another value.
 *   SE5. `list` gives names, sorted, and no values.
 */
export class Secrets extends Context.Service<
  Secrets,
  {
    readonly set: (owner: string, name: string, value: string) => Effect.Effect<void, BerthError>
    readonly remove: (owner: string, name: string) => Effect.Effect<void, BerthError>
    readonly list: (owner: string) => Effect.Effect<readonly string[], BerthError>
    readonly resolve: (
      owner: string,
      names: readonly string[],
    ) => Effect.Effect<Readonly<Record<string, string>>, BerthError>
  }
>()("core/ports/Secrets") {}

/** Names become environment variables. */
export const SECRET_NAME_PATTERN = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/
export const SECRET_VALUE_BYTES_MAX = 32 * 1024
/** Of one owner. */
export const SECRETS_MAX = 256
