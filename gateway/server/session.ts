/**
 * One connection: who it is, what it has asked, what it watches. It knows no socket, only a Link, so that a client in the
 * same process has the same session.
 *
 *   S1. At most `inFlightMax` requests are unanswered, each with an id of its own; one more is refused with TOO_MANY.
 *   S2. Every request is answered within `requestMsMax`, if need be with DEADLINE_EXCEEDED (I10).
 *   S3. `messagesPerSecond` after `messagesBurst`, a long message counting as several; beyond it RATE_LIMITED, and after
 *       `messagesRefusedMax` of those in a row 4429. A long one beyond it is read no further than its id.
 *   S4. When the token has expired the connection closes with 4401 within `expiryCheckMs`, however the wall clock moved.
 */
import { Cause, Effect, Exit, type Fiber } from "effect"
import { asBerthError, berthError, type BerthError } from "../../core/errors.ts"
import type { Clock } from "../../core/ports/clock.ts"
import type { Logger } from "../../core/telemetry.ts"
import { idAtFront, readRequest, type RequestId, writeError, writeResult } from "../protocol/envelope.ts"
import { CLOSE_CODES, type CloseCode } from "../protocol/limits.ts"
import { isMethodName } from "../protocol/methods.ts"
import type { Authenticator, Identity } from "./auth.ts"
import type { DoorLimits } from "./limits.ts"
import { errorToTell } from "./defect.ts"
import type { Connection } from "./methods/call.ts"
import type { DoorMetrics } from "./metrics.ts"
import { type Link, makeOutbox, type Outbox } from "./outbox.ts"
import type { Router } from "./router.ts"
import { makeSubscriptions, type Subscriptions } from "./subscriptions.ts"
import { fullBucket, takeTokens, type TokenBucket } from "./tokenBucket.ts"

export interface SessionOptions {
  readonly router: Router
  readonly authenticator: Authenticator | null
  readonly clock: Clock["Service"]
  readonly limits: DoorLimits
  readonly metrics: DoorMetrics
  readonly logger: Logger
}

const gone = (): BerthError => berthError("CONNECTION_LOST", "the connection was closed")

export class Session {
  readonly #link: Link
  readonly #options: SessionOptions
  readonly #outbox: Outbox
  readonly #subscriptions: Subscriptions
  readonly #inFlight = new Map<RequestId, Fiber.Fiber<unknown, BerthError>>()
  #identity: Identity
  #bucket: TokenBucket
  #refusedInRow = 0
  #closed = false
  #disarmExpiry: () => void = () => undefined

  constructor(link: Link, identity: Identity, options: SessionOptions) {
    this.#link = link
    this.#identity = identity
    this.#options = options
    const { clock, limits, logger, metrics } = options
    this.#outbox = makeOutbox(link, clock, limits)
    this.#subscriptions = makeSubscriptions(this.#outbox, limits.subscriptionsMax, metrics.subscriptions, (cause) =>
      errorToTell(cause, logger, { owner: this.#identity.principal.owner }, "a watch"),
    )
    this.#bucket = fullBucket(limits.messagesBurst, clock.monoMs())
    this.#armExpiry()
  }

  /** One text message. */
  receive(text: string): void {
    if (this.#closed) return
    const weight = Math.max(1, Math.ceil(text.length / this.#options.limits.messageBytesCounted))
    const granted = this.#isWithinPace(weight)
    if (!granted && weight > 1) return this.#refuse(idAtFront(text), this.#tooFast())
    const incoming = readRequest(text)
    if (incoming.kind === "notification") return
    const { id } = incoming
    if (!granted) return this.#refuse(id, this.#tooFast())
    if (incoming.kind === "refused") return this.#refuse(id, incoming.error)
    this.#accept(incoming.id, incoming.method, incoming.params)
  }

  /** A message that is no text. */
  receiveBinary(): void {
    if (!this.#closed && this.#isWithinPace(1))
      this.#refuse(null, berthError("PARSE_ERROR", "binary frames are not taken"))
  }

  /** The other end is gone, or is to be: ends everything that this connection holds. */
  closed(): void {
    if (this.#closed) return
    this.#closed = true
    this.#disarmExpiry()
    this.#outbox.close()
    this.#subscriptions.endAll(null)
    // What was asked goes on to its end or its deadline: a turn that is cut in the middle would be left to the reconciler.
    this.#inFlight.clear()
  }

  #tooFast(): BerthError {
    return berthError("RATE_LIMITED", `at most ${this.#options.limits.messagesPerSecond} messages a second`)
  }

  #isWithinPace(weight: number): boolean {
    const { limits, clock } = this.#options
    const { bucket, granted } = takeTokens(
      this.#bucket,
      limits.messagesPerSecond,
      limits.messagesBurst,
      clock.monoMs(),
      weight,
    )
    this.#bucket = bucket
    this.#refusedInRow = granted ? 0 : this.#refusedInRow + weight
    if (this.#refusedInRow > limits.messagesRefusedMax)
      this.#close(CLOSE_CODES.tooMany, "RATE_LIMITED: too many messages")
    return granted
  }

  #close(code: CloseCode, reason: string): void {
    this.#link.close(code, reason)
    this.closed()
  }

  #refuse(id: RequestId | null, error: BerthError): void {
    this.#options.metrics.refused(error.code)
    this.#outbox.send(writeError(id, error))
  }

  #accept(id: RequestId, method: string, params: unknown): void {
    const { limits, router, metrics, clock, logger } = this.#options
    const { owner } = this.#identity.principal
    if (this.#inFlight.has(id))
      return this.#refuse(
        id,
        berthError("INVALID_REQUEST", "a request with this id is not yet answered", { path: "id" }),
      )
    if (this.#inFlight.size >= limits.inFlightMax)
      return this.#refuse(id, berthError("TOO_MANY", `at most ${limits.inFlightMax} requests in flight`))
    const beganMonoMs = clock.monoMs()
    const opened: string[] = []
    const fiber = Effect.runFork(router.call(this.#identity.principal, this.#connection(opened), method, params))
    const answer = (exit: Exit.Exit<unknown, BerthError>): void => {
      disarm()
      if (this.#inFlight.get(id) !== fiber) return
      this.#inFlight.delete(id)
      const error = Exit.isSuccess(exit) ? null : asBerthError(Cause.squash(exit.cause))
      const code = error?.code ?? null
      const elapsedMs = clock.monoMs() - beganMonoMs
      metrics.answered(method, code, elapsedMs)
      logger.debug({ owner, method: isMethodName(method) ? method : "unknown", code, elapsedMs }, "answered a request")
      if (Exit.isSuccess(exit)) this.#outbox.send(writeResult(id, exit.value))
      else if (error !== null) this.#outbox.send(writeError(id, error))
      // Subscribing is the last step of its methods, so what was opened has been answered.
      for (const name of opened) this.#subscriptions.start(name)
    }
    const disarm = clock.after(limits.requestMsMax, () => {
      answer(Exit.fail(berthError("DEADLINE_EXCEEDED", `not answered within ${limits.requestMsMax} ms`)))
      fiber.interruptUnsafe()
    })
    this.#inFlight.set(id, fiber)
    fiber.addObserver(answer)
  }

  #connection(opened: string[]): Connection {
    return {
      subscribe: (events) =>
        Effect.suspend(() => {
          // The request outlived its connection; what it opened now, nobody would close.
          if (this.#closed) return Effect.fail(gone())
          return Effect.tap(this.#subscriptions.open(events), (name) => Effect.sync(() => opened.push(name)))
        }),
      unsubscribe: (name) => this.#subscriptions.end(name),
      refresh: (token) => this.#refresh(token),
    }
  }

  #refresh(token: string): Effect.Effect<{ readonly expiresAtMs: number }, BerthError> {
    const { authenticator } = this.#options
    if (authenticator === null)
      return Effect.fail(
        berthError("WRONG_STATE", "this connection has no token", { hint: "A client in the same process needs none." }),
      )
    return Effect.flatMap(authenticator.verify(token), (identity) => {
      if (this.#closed) return Effect.fail(gone())
      const before = this.#identity.principal
      if (identity.principal.owner !== before.owner)
        return Effect.fail(
          berthError("FORBIDDEN", "the new token is somebody else's", {
            path: "params.token",
            hint: "Open a connection of its own for another sub.",
          }),
        )
      this.#identity = identity
      if (before.role === "admin" && identity.principal.role !== "admin")
        this.#subscriptions.endAll(berthError("FORBIDDEN", "the new token allows less; watch again what it allows"))
      this.#armExpiry()
      return Effect.succeed({ expiresAtMs: identity.expiresAtMs })
    })
  }

  #armExpiry(): void {
    this.#disarmExpiry()
    const { clock, limits } = this.#options
    const leftMs = this.#identity.expiresAtMs - clock.nowMs()
    if (leftMs === Number.POSITIVE_INFINITY) return
    // Looked at again and again rather than once at the end: the wall clock may jump.
    this.#disarmExpiry = clock.after(Math.max(0, Math.min(leftMs, limits.expiryCheckMs)), () => {
      if (clock.nowMs() >= this.#identity.expiresAtMs)
        this.#close(CLOSE_CODES.unauthorized, "UNAUTHORIZED: the token has expired")
      else this.#armExpiry()
    })
  }
}
