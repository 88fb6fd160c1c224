/** The port's promises over anything that keeps sealed values: the adapters bring only that. */
import { Effect, Result, Semaphore } from "effect"
import { asBerthError, type BerthError, berthError } from "../../core/errors.ts"
import { LIMITS } from "../../core/limits.ts"
import type { Secrets } from "../../core/ports/secrets.ts"
import { secretFault } from "../../core/secret.ts"
import { type Keyring, keyMissing } from "./keyring.ts"

/** One stored secret. `token` is what the store knows this state of it by. */
export interface SealedEntry<Token> {
  readonly owner: string
  readonly name: string
  readonly sealed: Uint8Array
  readonly token: Token
}

export interface SealedStore<Token> {
  readonly read: (owner: string, name: string) => Effect.Effect<Uint8Array | null, BerthError>
  readonly write: (owner: string, name: string, sealed: Uint8Array) => Effect.Effect<void, BerthError>
  readonly remove: (owner: string, name: string) => Effect.Effect<boolean, BerthError>
  readonly names: (owner: string) => Effect.Effect<readonly string[], BerthError>
  readonly all: Effect.Effect<readonly SealedEntry<Token>[], BerthError>
  /** Writes only where the entry is still the one that was read. @returns whether it was */
  readonly exchange: (entry: SealedEntry<Token>, sealed: Uint8Array) => Effect.Effect<boolean, BerthError>
}

const unknown = (names: readonly string[]): BerthError =>
  berthError("SECRET_UNKNOWN", `there is no secret ${names.join(", ")}`, { path: "params.secrets" })

export function sealedSecrets<Token>(store: SealedStore<Token>, ring: Keyring): Secrets["Service"] {
  /** One change at a time, so that the count holds. */
  const changing = Semaphore.makeUnsafe(1)

  const opened = (owner: string, name: string, sealed: Uint8Array): Effect.Effect<string, BerthError> =>
    Effect.try({ try: () => ring.open(owner, name, sealed), catch: asBerthError })

  const set = Effect.fn("secrets.set")(function* (owner: string, name: string, value: string) {
    const fault = secretFault(name, value)
    if (fault !== null) return yield* Effect.fail(fault)
    const names = yield* store.names(owner)
    if (!names.includes(name) && names.length >= LIMITS.secretsMax)
      return yield* Effect.fail(
        berthError("TOO_MANY", `an owner has at most ${LIMITS.secretsMax} secrets`, {
          hint: "Remove one with `berth secret rm`.",
        }),
      )
    yield* store.write(owner, name, ring.seal(owner, name, value))
  })

  const resolve = Effect.fn("secrets.resolve")(function* (owner: string, names: readonly string[]) {
    const values: [string, string][] = []
    const missing: string[] = []
    for (const name of names) {
      const sealed = yield* store.read(owner, name)
      if (sealed === null) missing.push(name)
      else values.push([name, yield* opened(owner, name, sealed)])
    }
    return missing.length === 0 ? Object.fromEntries(values) : yield* Effect.fail(unknown(missing))
  })

  /** What is damaged stays as it is: its owner is told when it is used. */
  const reseal = Effect.gen(function* () {
    const entries = yield* store.all
    const missing = entries.filter(({ sealed }) => ring.keyed(sealed) === "missing").length
    if (missing > 0) return yield* Effect.fail(keyMissing(`${missing} of ${entries.length} secrets`))
    let resealed = 0
    for (const entry of entries) {
      if (ring.keyed(entry.sealed) === "first") continue
      const { name, owner, sealed } = entry
      const value = yield* Effect.result(opened(owner, name, sealed))
      if (Result.isFailure(value)) continue
      if (yield* store.exchange(entry, ring.seal(owner, name, value.success))) resealed += 1
    }
    return resealed
  })

  return {
    set: (owner, name, value) => changing.withPermits(1)(set(owner, name, value)),
    remove: (owner, name) => changing.withPermits(1)(store.remove(owner, name)),
    list: (owner) => Effect.map(store.names(owner), (names) => [...names].sort()),
    resolve,
    reseal: changing.withPermits(1)(reseal),
  }
}
