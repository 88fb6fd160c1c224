/** Secrets for tests that are about something else, or that only want a store in memory. */
import { Effect } from "effect"
import type { Secrets } from "../../core/ports/secrets.ts"
import { makeMemorySecrets } from "../../store/memory/index.ts"
import { Keyring } from "../../store/shared/keyring.ts"

/** An executor's view of a task that names none. */
export const noSecrets = (): Effect.Effect<Readonly<Record<string, string>>> => Effect.succeed({})

export const memorySecrets = (): Secrets["Service"] => makeMemorySecrets(Keyring.newKey()).secrets
