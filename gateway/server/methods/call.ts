/** What a method's handler gets besides its parameters. */
import type { Effect } from "effect"
import type { BackendEvent, Principal, TaskService, Watching, WatchEvent } from "../../../actors/api.ts"
import type { BerthError } from "../../../core/errors.ts"
import type { Secrets } from "../../../core/ports/secrets.ts"
import type { MethodName, MethodParams, MethodResult } from "../../protocol/methods.ts"

/** What of its connection a method may use. */
export interface Connection {
  /** Opens a subscription; it begins to send after this call's answer. Fails with TOO_MANY. */
  readonly subscribe: (events: Watching<WatchEvent | BackendEvent>) => Effect.Effect<string, BerthError>
  /** Ends a subscription; fails with NOT_FOUND. */
  readonly unsubscribe: (subscription: string) => Effect.Effect<void, BerthError>
  /** Takes a newer token of the same owner. */
  readonly refresh: (token: string) => Effect.Effect<{ readonly expiresAtMs: number }, BerthError>
}

export interface Call {
  readonly principal: Principal
  readonly connection: Connection
  readonly tasks: TaskService["Service"]
  readonly secrets: Secrets["Service"]
  /** The OpenRPC document. */
  readonly discover: () => Readonly<Record<string, unknown>>
}

/** One entry of the table of methods; its schemas are in gateway/protocol under the same name. */
export interface Method<M extends MethodName> {
  readonly role: "user" | "admin"
  readonly handle: (call: Call, params: MethodParams<M>) => Effect.Effect<MethodResult<M>, BerthError>
}
