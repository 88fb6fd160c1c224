import { Context, type Effect } from "effect"

/**
 * Every place where a crash, a delay or an error can be injected, by name. A drill crashes a real process at each; a name
 * that nothing passes through, or that no drill hits, fails the suite.
 */
export const FAILPOINTS = [
  "submit.beforeAppend",
  "submit.afterAppend",
  "admit.beforeAppend",
  "admit.afterAppend",
  "admit.afterPublish",
  "start.beforeAppend",
  "start.afterAppend",
  "start.afterAck",
  "create.afterContainer",
  "place.afterAppend",
  "feed.during",
  "run.afterBegin",
  "output.afterAppend",
  "run.afterExit",
  "collect.afterArtifacts",
  "end.beforeAppend",
  "end.afterAppend",
  "remove.beforeContainer",
  "retry.beforeAppend",
  "adopt.beforeAppend",
  "adopt.afterAppend",
  "retention.afterPurge",
  "retention.afterEntomb",
  "store.beforeCommit",
  "store.afterCommit",
] as const
export type Failpoint = (typeof FAILPOINTS)[number]

/** In production `hit` is a constant effect that does nothing. */
export class Failpoints extends Context.Service<
  Failpoints,
  { readonly hit: (name: Failpoint) => Effect.Effect<void> }
>()("core/ports/Failpoints") {}
