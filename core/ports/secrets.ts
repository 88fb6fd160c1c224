import { Context, type Effect } from "effect"
import type { BerthError } from "../errors.ts"

/**
 * Values that programs get by name, and that no record, answer, event or log line ever holds.
 * Guarantees, each a test in test/contract/secrets.contract.ts:
 *
 *   SE1. `set` is durable before it returns and replaces an earlier value; `remove` tells whether there was one.
 *   SE2. `resolve` gives exactly what the same owner set; for names that are not there it fails with SECRET_UNKNOWN and
 *        says the names, never a value.
 *   SE3. Owners do not see each other: the same name is another secret for another owner.
 *   SE4. What is stored is encrypted, under a nonce of its own, and bound to owner and name: one that was moved or damaged
 *        is STORE_CORRUPT, never another value.
 *   SE5. `list` gives the owner's names, sorted, and no values; it needs no key.
 *   SE6. A name or a value out of bounds is refused before anything is stored, and so is one secret more than an owner may
 *        have. (Nodes that set at the same moment may pass that last bound by as many as they are.)
 *   SE7. Sealed with a key that is not at hand, a secret is SECRET_KEY_WRONG, and `reseal` says so for all of them.
 *   SE8. Of several keys the first one seals and all open; after `reseal` only the first one is needed. What is set
 *        meanwhile is kept.
 */
export class Secrets extends Context.Service<
  Secrets,
  {
    readonly set: (owner: string, name: string, value: string) => Effect.Effect<void, BerthError>
    readonly remove: (owner: string, name: string) => Effect.Effect<boolean, BerthError>
    readonly list: (owner: string) => Effect.Effect<readonly string[], BerthError>
    readonly resolve: (
      owner: string,
      names: readonly string[],
    ) => Effect.Effect<Readonly<Record<string, string>>, BerthError>
    /** @returns how many were sealed anew */
    readonly reseal: Effect.Effect<number, BerthError>
  }
>()("core/ports/Secrets") {}
