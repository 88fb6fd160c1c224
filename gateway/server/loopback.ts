/** A client in the same process: the session and the checks of a socket, without a socket. Messages are the same texts. */
import { Cause, Effect, Exit } from "effect"
import type { Principal, TaskService } from "../../actors/api.ts"
import { asBerthError } from "../../core/errors.ts"
import type { Clock } from "../../core/ports/clock.ts"
import type { Logger } from "../../core/telemetry.ts"
import { readArtifact } from "./artifact.ts"
import { doorLimits, LOOPBACK_LIMITS } from "./limits.ts"
import { NO_METRICS } from "./metrics.ts"
import type { Router } from "./router.ts"
import { Session } from "./session.ts"

export interface LoopbackOptions {
  readonly router: Router
  readonly tasks: TaskService["Service"]
  readonly clock: Clock["Service"]
  readonly logger: Logger
  /** As whom the embedding program acts. It needs no token: whoever can call this is the program itself. */
  readonly principal: Principal
}

/** What a client's loopback transport talks to. */
export interface Loopback {
  /** Begins a session. `deliver` gets every message of the server, `closed` is called when the server ends it. */
  readonly connect: (
    deliver: (text: string) => void,
    closed: (code: number, reason: string) => void,
  ) => { readonly receive: (text: string) => void; readonly close: () => void }
  /** One artifact whole; rejects with a BerthError. */
  readonly artifact: (taskId: string, path: string) => Promise<Uint8Array>
}

export function makeLoopback({ router, tasks, clock, logger, principal }: LoopbackOptions): Loopback {
  const limits = doorLimits(LOOPBACK_LIMITS)
  return {
    connect: (deliver, closed) => {
      const send = (text: string, taken: () => void): void => {
        deliver(text)
        taken()
      }
      const ignored = (): void => undefined
      const link = { send, unsentBytes: () => 0, pause: ignored, resume: ignored, close: closed }
      const identity = { principal, expiresAtMs: Number.POSITIVE_INFINITY }
      const session = new Session(link, identity, {
        router,
        authenticator: null,
        clock,
        limits,
        metrics: NO_METRICS,
        logger,
      })
      return { receive: (text) => session.receive(text), close: () => session.closed() }
    },
    artifact: async (taskId, path) => {
      const exit = await Effect.runPromiseExit(readArtifact(tasks, principal, taskId, path))
      if (Exit.isSuccess(exit)) return exit.value
      throw asBerthError(Cause.squash(exit.cause))
    },
  }
}
