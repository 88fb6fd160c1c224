import type { Secrets } from "../../core/ports/secrets.ts"
import { Keyring } from "../shared/keyring.ts"
import { sealedSecrets, type SealedEntry } from "../shared/sealedSecrets.ts"
import { step } from "./log.ts"

export interface MemorySecrets {
  readonly secrets: Secrets["Service"]
  /** The same store seen with other keys. */
  readonly withKeys: (keys: string) => Secrets["Service"]
  /** What is kept, as it is kept; a change here is a change there. */
  readonly stored: Map<string, SealedEntry<null>>
}

const keyOf = (owner: string, name: string): string => JSON.stringify([owner, name])

/** Secrets in memory: sealed as everywhere. @param keys - as a key file holds them */
export function makeMemorySecrets(keys: string): MemorySecrets {
  const stored = new Map<string, SealedEntry<null>>()
  const put = (owner: string, name: string, sealed: Uint8Array): void =>
    void stored.set(keyOf(owner, name), { owner, name, sealed, token: null })
  const withKeys = (text: string): Secrets["Service"] =>
    sealedSecrets(
      {
        read: (owner, name) => step(() => stored.get(keyOf(owner, name))?.sealed ?? null),
        write: (owner, name, sealed) => step(() => put(owner, name, sealed)),
        remove: (owner, name) => step(() => stored.delete(keyOf(owner, name))),
        names: (owner) =>
          step(() => [...stored.values()].filter((entry) => entry.owner === owner).map(({ name }) => name)),
        all: step(() => [...stored.values()]),
        exchange: (entry, sealed) =>
          step(() => {
            const isSame = stored.get(keyOf(entry.owner, entry.name)) === entry
            if (isSame) put(entry.owner, entry.name, sealed)
            return isSame
          }),
      },
      Keyring.parse(text, "keys"),
    )
  return { secrets: withKeys(keys), withKeys, stored }
}
