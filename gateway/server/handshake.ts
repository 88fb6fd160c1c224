/** From a request that asks for a socket to a session, or to a refusal in plain HTTP. */
import type { IncomingMessage } from "node:http"
import type { Duplex } from "node:stream"
import { Effect, Result } from "effect"
import { WebSocketServer } from "ws"
import { berthError, type BerthError } from "../../core/errors.ts"
import type { Logger } from "../../core/telemetry.ts"
import { SUBPROTOCOL } from "../protocol/limits.ts"
import type { Authenticator, Identity } from "./auth.ts"
import type { Connections } from "./connections.ts"
import { errorToTell } from "./defect.ts"
import { refuseRaw } from "./reply.ts"
import type { SessionOptions } from "./session.ts"
import { serveSocket } from "./socket.ts"
import { type DoorNames, upgradeToken } from "./upgrade.ts"

export interface HandshakeOptions extends SessionOptions {
  readonly authenticator: Authenticator
  readonly connections: Connections
  readonly names: () => DoorNames
  readonly logger: Logger
}

/** Makes the listener of a server's `upgrade` event. */
export function makeHandshake(options: HandshakeOptions) {
  const { authenticator, connections, names, limits, metrics, logger, clock } = options
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: limits.frameBytesMax,
    maxFragments: limits.fragmentsMax,
    perMessageDeflate: false,
    clientTracking: false,
    // Only this one is ever echoed: a token that was offered as a subprotocol is not.
    handleProtocols: () => SUBPROTOCOL,
  })

  // A handshake that is none in the library's eyes: no key, another version, another upgrade.
  sockets.on("wsClientError", (_error, socket) => {
    metrics.upgraded(refuseRaw(socket, berthError("INVALID_REQUEST", "this is no WebSocket handshake of version 13")))
  })

  const admit = (request: IncomingMessage, head: Buffer): Effect.Effect<Identity, BerthError> =>
    Effect.gen(function* () {
      if (head.length > limits.headBytesMax)
        return yield* Effect.fail(berthError("INVALID_REQUEST", "nothing may be sent before the handshake is answered"))
      const token = yield* Effect.fromResult(upgradeToken(request, names()))
      const identity = yield* authenticator.verify(token)
      const error = connections.placeError(identity.principal.owner)
      return error === null ? identity : yield* Effect.fail(error)
    })
  const inTime = (admitted: Effect.Effect<Identity, BerthError>): Effect.Effect<Identity, BerthError> =>
    Effect.raceFirst(
      admitted,
      Effect.flatMap(clock.sleep(limits.headMsMax), () =>
        Effect.fail(berthError("DEADLINE_EXCEEDED", "the token could not be verified in time")),
      ),
    )
  const accept = (request: IncomingMessage, socket: Duplex, head: Buffer, identity: Identity): void => {
    sockets.handleUpgrade(request, socket, head, (accepted) => {
      const { owner } = identity.principal
      connections.add(accepted, owner, serveSocket(accepted, identity, options))
      metrics.upgraded(101)
      logger.debug({ owner, connections: connections.count }, "a connection was opened")
    })
  }

  return (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    socket.on("error", () => socket.destroy())
    // A defect must not become an unhandled rejection: nobody has said yet who this is.
    const safe = Effect.catchCause(inTime(admit(request, head)), (cause) =>
      Effect.fail(errorToTell(cause, logger, {}, "the handshake")),
    )
    void Effect.runPromise(Effect.result(safe)).then((verdict) => {
      if (socket.destroyed) return
      if (Result.isSuccess(verdict)) return accept(request, socket, head, verdict.success)
      const { code, message } = verdict.failure
      logger.info({ code, reason: message }, "a connection was refused")
      metrics.upgraded(refuseRaw(socket, verdict.failure))
    })
  }
}
