/** What a node tells of its backends: every change of a breaker as a metric, a line of the log and an event for who watches. */
import { Effect, type Scope } from "effect"
import { BACKENDS_SUBJECT, type Signals } from "../core/ports/signals.ts"
import type { Logger, Telemetry } from "../core/telemetry.ts"
import type { BackendEvent } from "./api.ts"
import type { Backend } from "./executor/stack/backend.ts"

export interface BackendsOptions {
  readonly nodeId: string
  readonly backends: readonly Backend[]
  readonly logger: Logger
  readonly telemetry: Telemetry
}

/** Tells until the scope ends. A signal that cannot be sent is lost: `system.info` always has the present state. */
export const tellBackends = (
  { backends, logger, nodeId, telemetry }: BackendsOptions,
  signals: Signals["Service"],
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.forEach(
    backends,
    (backend) =>
      Effect.acquireRelease(
        Effect.sync(() =>
          backend.onChange((change) => {
            telemetry.count("backendChanges", { backend: change.backend, to: change.to })
            logger[change.to === "open" ? "warn" : "info"](change, "backend changed")
            const event: BackendEvent = { type: "backend", seq: null, node: nodeId, ...change }
            Effect.runFork(Effect.ignore(signals.publish(BACKENDS_SUBJECT, event)))
          }),
        ),
        (stop) => Effect.sync(stop),
      ),
    { discard: true },
  )
