/** HTTP beside the socket: health, readiness, metrics, and the files that programs left. Everything else is not found. */
import type { IncomingMessage, ServerResponse } from "node:http"
import { Effect } from "effect"
import type { Registry } from "prom-client"
import type { TaskService } from "../../actors/api.ts"
import { berthError, type BerthError } from "../../core/errors.ts"
import type { Clock } from "../../core/ports/clock.ts"
import type { Logger } from "../../core/telemetry.ts"
import { dispositionOf, readArtifact } from "./artifact.ts"
import type { Authenticator } from "./auth.ts"
import { errorToTell } from "./defect.ts"
import type { Downloads } from "./downloads.ts"
import type { DoorLimits } from "./limits.ts"
import type { DoorMetrics } from "./metrics.ts"
import { errorReply, jsonReply, type Reply } from "./reply.ts"
import { bearerToken, type DoorNames, hostError } from "./upgrade.ts"

export interface HttpOptions {
  readonly tasks: TaskService["Service"]
  readonly authenticator: Authenticator
  readonly names: () => DoorNames
  readonly registry: Registry | null
  readonly downloads: Downloads
  readonly clock: Clock["Service"]
  readonly logger: Logger
  readonly limits: DoorLimits
  readonly metrics: DoorMetrics
  readonly isGateway: boolean
}

/** What a node says that has no gateway's role. */
export const noGateway = (): BerthError =>
  berthError("NOT_FOUND", "this node is no gateway", { hint: "Ask a node that runs with --role gateway." })

type Handled = Effect.Effect<Reply, BerthError>
interface Route {
  readonly name: string
  readonly handled: Handled
}

/** Nothing here is to be run, framed, guessed at or kept by a browser. */
const ALWAYS = {
  "x-content-type-options": "nosniff",
  "content-security-policy": "default-src 'none'; sandbox",
  "cache-control": "no-store",
  "referrer-policy": "no-referrer",
}

const ready = ({ tasks }: HttpOptions): Handled =>
  Effect.map(tasks.systemInfo, ({ ready, trouble, roles, leader, headSeq, checkpointSeq, durability, executors }) =>
    jsonReply(ready ? 200 : 503, {
      status: ready ? "ready" : "not ready",
      trouble,
      roles,
      leader,
      headSeq,
      checkpointSeq,
      durability,
      executors: executors.map(({ name, accepting }) => ({ name, accepting })),
    }),
  )

const metricsText = (registry: Registry): Handled =>
  Effect.map(
    Effect.promise(() => registry.metrics()),
    (body) => ({ status: 200, body, headers: { "content-type": registry.contentType } }),
  )

const ARTIFACT = /^\/v1\/tasks\/([^/]+)\/artifacts\/(.+)$/

const artifact = (
  options: HttpOptions,
  request: IncomingMessage,
  response: ServerResponse,
  taskId: string,
  encoded: string,
): Handled =>
  Effect.gen(function* () {
    const token = bearerToken(request)
    if (token === null)
      return yield* Effect.fail(berthError("UNAUTHORIZED", "the token must come in the Authorization header"))
    const { principal } = yield* options.authenticator.verify(token)
    const path = yield* Effect.try({
      try: () => decodeURIComponent(encoded),
      catch: () => berthError("INVALID_PARAMS", "the path is not percent-encoded UTF-8", { path: "path" }),
    })
    const refused = options.downloads.begin(principal.owner, request, response)
    if (refused !== null) return yield* Effect.fail(refused)
    const body = yield* readArtifact(options.tasks, principal, taskId, path)
    const headers = { "content-type": "application/octet-stream", "content-disposition": dispositionOf(path) }
    return { status: 200, body, headers }
  })

function route(options: HttpOptions, request: IncomingMessage, response: ServerResponse): Route {
  if (request.method !== "GET" && request.method !== "HEAD") {
    const refused = errorReply(
      berthError("METHOD_NOT_FOUND", "only GET and HEAD are taken over HTTP", {
        hint: "Everything else is said over the socket at /v1.",
      }),
    )
    return {
      name: "refused",
      handled: Effect.succeed({ ...refused, headers: { ...refused.headers, allow: "GET, HEAD" } }),
    }
  }
  // Not parsed by URL, which would resolve `..` before anybody could refuse it.
  const [pathname = "/"] = (request.url ?? "/").split("?")
  // Probes come by whatever address they like; these two tell nothing of anybody's tasks.
  if (pathname === "/health") return { name: "health", handled: Effect.succeed(jsonReply(200, { status: "ok" })) }
  if (pathname === "/ready") return { name: "ready", handled: ready(options) }
  const host = hostError(request, options.names())
  if (host !== null) return { name: "refused", handled: Effect.fail(host) }
  if (pathname === "/metrics" && options.registry !== null)
    return { name: "metrics", handled: metricsText(options.registry) }
  if (!options.isGateway) return { name: "refused", handled: Effect.fail(noGateway()) }
  const [, taskId, path] = ARTIFACT.exec(pathname) ?? []
  if (taskId !== undefined && path !== undefined)
    return { name: "artifact", handled: artifact(options, request, response, taskId, path) }
  const nothing = berthError("NOT_FOUND", "there is nothing here", {
    hint: "Sockets are at /v1; see /health, /ready and /metrics.",
  })
  return { name: "unknown", handled: Effect.fail(nothing) }
}

/** Answers one HTTP request that is no upgrade. Never throws, never hangs. */
export function serveHttp(options: HttpOptions, request: IncomingMessage, response: ServerResponse): void {
  const { clock, limits, logger, metrics } = options
  const { name, handled } = route(options, request, response)
  const late = Effect.flatMap(clock.sleep(limits.requestMsMax), () =>
    Effect.fail(berthError("DEADLINE_EXCEEDED", `not answered within ${limits.requestMsMax} ms`)),
  )
  const told = Effect.catchCause(Effect.raceFirst(handled, late), (cause) =>
    Effect.succeed(errorReply(errorToTell(cause, logger, { route: name }, "an answer over HTTP"))),
  )
  void Effect.runPromise(told).then(({ status, body, headers }) => {
    metrics.http(name, status)
    const bytes = typeof body === "string" ? Buffer.from(body, "utf8") : body
    response.writeHead(status, { ...ALWAYS, ...headers, "content-length": bytes.length })
    response.end(request.method === "HEAD" ? undefined : bytes)
    // A body was not asked for and is not read: what is left of it must not stand in the way of the next request.
    request.resume()
  })
}
