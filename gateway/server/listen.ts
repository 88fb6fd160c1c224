/**
 * The gateway as a listening server: one port for HTTP and sockets, on 127.0.0.1 unless another address is asked for.
 *
 *   L1. Nothing is parsed beyond a request's head before its token was verified; slow heads are cut off after `headMsMax`.
 *   L2. At most `connectionsMax` sockets, and `connectionsPerOwnerMax` of one owner; and so of downloads.
 *   L3. Closing refuses new connections, tells the open ones (1001 or 1012), and cuts off those that do not go.
 */
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { Effect } from "effect"
import type { Registry } from "prom-client"
import type { TaskService } from "../../actors/api.ts"
import { berthError, type BerthError } from "../../core/errors.ts"
import type { Clock } from "../../core/ports/clock.ts"
import type { Logger } from "../../core/telemetry.ts"
import { CLOSE_CODES } from "../protocol/limits.ts"
import { type AuthOptions, makeAuthenticator } from "./auth.ts"
import { Connections } from "./connections.ts"
import { Downloads } from "./downloads.ts"
import { makeHandshake } from "./handshake.ts"
import { noGateway, serveHttp } from "./http.ts"
import { type DoorLimits, doorLimits } from "./limits.ts"
import { NO_METRICS, registerMetrics } from "./metrics.ts"
import { refuseRaw } from "./reply.ts"
import type { Router } from "./router.ts"
import type { DoorNames } from "./upgrade.ts"

export interface ListenOptions {
  readonly tasks: TaskService["Service"]
  readonly router: Router
  readonly clock: Clock["Service"]
  readonly logger: Logger
  readonly auth: AuthOptions
  /** Default 127.0.0.1. */
  readonly host?: string
  /** 0: any free one. */
  readonly port: number
  /** Further names under which the server may be spoken to; `localhost`, 127.0.0.1, ::1 and `host` are among them anyway. */
  readonly hosts?: readonly string[]
  /** Further origins whose pages may connect; the server's own is among them anyway. */
  readonly origins?: readonly string[]
  /** Where metrics are registered and what /metrics shows; null: there is no /metrics. */
  readonly registry: Registry | null
  readonly limits?: Partial<DoorLimits>
  /** False: health, readiness and metrics alone; sockets and files are not to be had here. Default true. */
  readonly isGateway?: boolean
}

export interface Listening {
  readonly host: string
  readonly port: number
  /** For clients on this machine, such as `http://127.0.0.1:7411`. */
  readonly url: string
  /** Open sockets. */
  readonly connections: () => number
  /**
   * Stops listening and ends all connections. Idempotent.
   *
   * @param why - `restart` when another server follows at once: clients then connect again
   */
  readonly close: (why: "restart" | "goingAway") => Effect.Effect<void>
}

const LOCAL_NAMES = ["localhost", "127.0.0.1", "::1"]
const ANY_ADDRESSES = ["0.0.0.0", "::"]
/** How long open connections may take to go when the server closes. */
const GOODBYE_MS = 1_000

const bracketed = (host: string): string => (host.includes(":") ? `[${host}]` : host)

function namesOf(options: ListenOptions, host: string, port: number): DoorNames {
  const own = ANY_ADDRESSES.includes(host) ? LOCAL_NAMES : [...LOCAL_NAMES, host.toLowerCase()]
  return {
    hosts: new Set([...own, ...(options.hosts ?? []).map((name) => name.toLowerCase())]),
    origins: new Set([...own.map((name) => `http://${bracketed(name)}:${port}`), ...(options.origins ?? [])]),
  }
}

/** Takes a port; fails with CONFIG_INVALID when it cannot be had. */
export const bind = (server: Server, host: string, port: number): Effect.Effect<AddressInfo, BerthError> =>
  Effect.callback((resume) => {
    const failed = (cause: Error): void => {
      const inUse = "code" in cause && cause.code === "EADDRINUSE"
      const message = inUse ? `port ${port} of ${host} is taken` : `cannot listen on port ${port} of ${host}`
      resume(
        Effect.fail(
          berthError("CONFIG_INVALID", message, { path: "port", hint: "Choose another port, or 0 for any.", cause }),
        ),
      )
    }
    server.once("error", failed)
    server.listen({ host, port }, () => {
      server.off("error", failed)
      resume(Effect.succeed(server.address() as AddressInfo))
    })
  })

/** What is said to bytes that are no HTTP, or came too slowly, or too many. */
function malformed(cause: Error, limits: DoorLimits): [error: BerthError, status: number] {
  const code = "code" in cause ? cause.code : undefined
  if (code === "HPE_HEADER_OVERFLOW")
    return [berthError("TOO_LARGE", `a request's head is at most ${limits.headBytesMax} bytes`), 431]
  if (code === "ERR_HTTP_REQUEST_TIMEOUT")
    return [berthError("DEADLINE_EXCEEDED", `a request must arrive within ${limits.headMsMax} ms`), 408]
  return [
    berthError("INVALID_REQUEST", "this is no HTTP/1.1", { hint: "Connect with a WebSocket or HTTP client." }),
    400,
  ]
}

/** L1: the bounds of what has not said who it is. */
export function boundedServer(limits: DoorLimits): Server {
  const server = createServer({
    maxHeaderSize: limits.headBytesMax,
    headersTimeout: limits.headMsMax,
    requestTimeout: limits.headMsMax,
    connectionsCheckingInterval: Math.min(1_000, limits.headMsMax),
    keepAliveTimeout: 5_000,
  })
  // A download that nobody reads ends too; sockets are watched by their pings instead.
  server.timeout = limits.requestMsMax * 2
  server.maxConnections = limits.connectionsMax * 2
  server.on("clientError", (cause, socket) => {
    if (socket.writable) refuseRaw(socket, ...malformed(cause, limits))
    else socket.destroy()
  })
  return server
}

const closing = (server: Server, connections: Connections, clock: Clock["Service"], why: "restart" | "goingAway") =>
  Effect.callback<void>((resume) => {
    connections.closeAll(CLOSE_CODES[why], "SHUTTING_DOWN: connect again")
    const disarm = clock.after(GOODBYE_MS, () => {
      connections.cutAll()
      server.closeAllConnections()
    })
    server.close(() =>
      connections.whenGone(() => {
        disarm()
        resume(Effect.void)
      }),
    )
    server.closeIdleConnections()
  })

/** Starts to listen; fails with CONFIG_INVALID when the address cannot be had or the keys are none. */
export const listen = (options: ListenOptions): Effect.Effect<Listening, BerthError> =>
  Effect.gen(function* () {
    const { clock, logger, router, tasks, registry, host = "127.0.0.1" } = options
    const limits = doorLimits(options.limits)
    const metrics = registry === null ? NO_METRICS : registerMetrics(registry)
    const authenticator = yield* makeAuthenticator(options.auth, clock, limits)
    const connections = new Connections(limits)
    const downloads = new Downloads(limits)
    // The own origin has the port in it, which is known only when the server is bound; nothing is let in before.
    let known: DoorNames = { hosts: new Set(), origins: new Set() }
    const names = () => known

    const server = boundedServer(limits)
    const isGateway = options.isGateway ?? true
    const handshake = makeHandshake({ router, authenticator, connections, names, clock, limits, metrics, logger })
    server.on("upgrade", (request, socket, head) => {
      if (isGateway) return handshake(request, socket, head)
      socket.on("error", () => socket.destroy())
      metrics.upgraded(refuseRaw(socket, noGateway()))
    })
    server.on("request", (request, response) =>
      serveHttp(
        { tasks, authenticator, names, registry, downloads, clock, logger, limits, metrics, isGateway },
        request,
        response,
      ),
    )
    const { port } = yield* bind(server, host, options.port)
    known = namesOf(options, host, port)
    server.on("error", (error) => logger.error({ err: error }, "the listening socket failed"))

    const shown = ANY_ADDRESSES.includes(host) ? "127.0.0.1" : host
    return {
      host,
      port,
      url: `http://${bracketed(shown)}:${port}`,
      connections: () => connections.count,
      close: (why) => closing(server, connections, clock, why),
    }
  })
