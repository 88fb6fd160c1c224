import { Effect, type Scope } from "effect"

/** Runs an effect in a scope of its own, as a promise: what a test returns. */
export const isolate = <A, E>(body: Effect.Effect<A, E, Scope.Scope>): Promise<A> =>
  Effect.runPromise(Effect.scoped(body))
