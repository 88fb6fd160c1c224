import { Effect } from "effect"
import type { BerthError } from "../../../core/errors.ts"
import { askFacts, type EngineFacts } from "./facts.ts"
import { connectEngine, Engine, engineError } from "./client.ts"

/** Asks an engine whether it is there, past all layers: for the layers' own use. */
export const pingEngine = (address: string): Effect.Effect<void, BerthError> => {
  const engine = connectEngine(address)
  return Effect.tryPromise({ try: () => engine.ping(), catch: (cause) => engineError("ping", cause) }).pipe(
    Effect.asVoid,
  )
}

/** What an engine says about itself, asked without any layer around the calls. */
export const engineFactsOf = (address: string): Effect.Effect<EngineFacts, BerthError> =>
  askFacts(new Engine(connectEngine(address), (_call, run) => run))
