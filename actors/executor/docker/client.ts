import Docker from "dockerode"
import { Effect } from "effect"
import { type BerthError, berthError } from "../../../core/errors.ts"
import type { EngineCall, Guard } from "../guard.ts"

/**
 * Calls to the engine, and the one place where its answers become errors.
 *
 *   CL1. No answer, a reset, and 5xx say something about the engine: BACKEND_UNAVAILABLE.
 *   CL2. 4xx say something about what was asked: IMAGE_NOT_FOUND for 404 where an image was meant, else IMAGE_REFUSED.
 *   CL3. An answer that a call expects (already stopped, already gone) is no error: the call says which.
 *   CL4. Who asks for a stream passes the signal on: a call that is given up closes its connection, so that no answer comes late
 *        to a socket that nobody owns, where a reset would be an error that nobody hears.
 */

/** Where the engine listens: `unix:///path`, `tcp://host:port`, `http://…` or `https://…`. */
export function connectEngine(address: string): Docker {
  if (address.startsWith("unix://")) return new Docker({ socketPath: address.slice("unix://".length) })
  if (address.startsWith("/")) return new Docker({ socketPath: address })
  const url = new URL(address.replace(/^tcp:/, "http:"))
  const secure = url.protocol === "https:"
  return new Docker({
    protocol: secure ? "https" : "http",
    host: url.hostname,
    port: url.port === "" ? (secure ? 2376 : 2375) : Number(url.port),
  })
}

/** The HTTP status of an engine's answer; null when there was no answer. */
export const statusOf = (cause: unknown): number | null => {
  const status = (cause as { statusCode?: unknown } | null)?.statusCode
  return typeof status === "number" ? status : null
}

/** What the engine itself said, in one bounded line. */
export function reasonOf(cause: unknown): string {
  const json = (cause as { json?: { message?: unknown } } | null)?.json
  const said = typeof json?.message === "string" ? json.message : cause instanceof Error ? cause.message : String(cause)
  return said.replace(/\s+/g, " ").trim().slice(0, 500)
}

/** CL1 and CL2. */
export function engineError(name: string, cause: unknown): BerthError {
  const status = statusOf(cause)
  const message = `${name}: ${reasonOf(cause)}`
  if (status === null || status >= 500 || status === 408 || status === 429)
    return berthError("BACKEND_UNAVAILABLE", message, { cause })
  if (status === 404 && /^image|^create/.test(name)) return berthError("IMAGE_NOT_FOUND", message, { cause })
  return berthError("IMAGE_REFUSED", message, { cause })
}

const LIMITS_MS = { quick: 10_000, slow: 60_000 } as const

/** The calls of this executor, as the layers around the engine need to know them. */
export const CALLS = {
  imageInspect: { name: "image inspect", repeatable: true, deadlineMs: LIMITS_MS.quick, start: false },
  create: { name: "create", repeatable: true, deadlineMs: LIMITS_MS.slow, start: false },
  attach: { name: "attach", repeatable: false, deadlineMs: LIMITS_MS.quick, start: false },
  start: { name: "start", repeatable: false, deadlineMs: LIMITS_MS.slow, start: true },
  inspect: { name: "inspect", repeatable: true, deadlineMs: LIMITS_MS.quick, start: false },
  logs: { name: "logs", repeatable: true, deadlineMs: LIMITS_MS.quick, start: false },
  kill: { name: "kill", repeatable: false, deadlineMs: LIMITS_MS.quick, start: false },
  exec: { name: "exec", repeatable: false, deadlineMs: LIMITS_MS.quick, start: false },
  pause: { name: "pause", repeatable: false, deadlineMs: LIMITS_MS.quick, start: false },
  remove: { name: "remove", repeatable: true, deadlineMs: LIMITS_MS.slow, start: false },
  list: { name: "list", repeatable: true, deadlineMs: LIMITS_MS.quick, start: false },
  info: { name: "info", repeatable: true, deadlineMs: LIMITS_MS.quick, start: false },
} as const satisfies Record<string, EngineCall>

export class Engine {
  readonly docker: Docker
  readonly #guard: Guard

  constructor(docker: Docker, guard: Guard) {
    this.docker = docker
    this.#guard = guard
  }

  /** @param expected - what a status means instead of an error, CL3 */
  call<A>(
    call: EngineCall,
    run: (signal: AbortSignal) => Promise<A>,
    expected: Readonly<Record<number, () => A>> = {},
  ): Effect.Effect<A, BerthError> {
    const asked = Effect.tryPromise({ try: run, catch: (cause) => cause }).pipe(
      Effect.catch((cause) => {
        const status = statusOf(cause)
        const answer = status === null ? undefined : expected[status]
        return answer === undefined ? Effect.fail(engineError(call.name, cause)) : Effect.sync(answer)
      }),
    )
    return this.#guard(call, asked)
  }
}
