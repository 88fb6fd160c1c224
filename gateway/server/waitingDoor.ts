import { Effect, type Scope } from "effect"
import { type BerthError, berthError } from "../../core/errors.ts"
import { doorLimits } from "./limits.ts"
import { bind, boundedServer } from "./listen.ts"
import { errorReply, jsonReply, refuseRaw, type Reply } from "./reply.ts"

export interface WaitingDoorOptions {
  readonly host?: string
  readonly port: number
  /** What the node waits for, in a sentence. */
  readonly trouble: () => string
}

/**
 * What a node's port says before the node can be opened: it lives, it is not ready and why, and everything else is to be
 * asked again. Closed with the scope, so that the port is free for the door itself.
 */
export const openWaitingDoor = (options: WaitingDoorOptions): Effect.Effect<void, BerthError, Scope.Scope> =>
  Effect.gen(function* () {
    const server = boundedServer(doorLimits())
    const refusal = (): BerthError => berthError("NOT_READY", options.trouble())
    const replyTo = (path: string): Reply => {
      if (path === "/health") return jsonReply(200, { status: "ok" })
      if (path === "/ready") return jsonReply(503, { status: "not ready", trouble: options.trouble() })
      return errorReply(refusal())
    }
    server.on("upgrade", (_, socket) => {
      socket.on("error", () => socket.destroy())
      refuseRaw(socket, refusal())
    })
    server.on("request", (request, response) => {
      const { body, headers, status } = replyTo((request.url ?? "/").split("?")[0] ?? "/")
      response.writeHead(status, { ...headers, "cache-control": "no-store", connection: "close" })
      response.end(request.method === "HEAD" ? undefined : body)
      request.resume()
    })
    yield* bind(server, options.host ?? "127.0.0.1", options.port)
    yield* Effect.addFinalizer(() =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      }),
    )
  })
