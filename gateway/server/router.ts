/**
 * From a method's name and unknown parameters to its answer: the same checks for a socket and for a client in the same process.
 * Whatever goes wrong becomes a BerthError (I10); nothing reaches the TaskService before it was decoded (I8).
 */
import { Effect } from "effect"
import type { TaskService } from "../../actors/api.ts"
import { berthError, type BerthError } from "../../core/errors.ts"
import type { Secrets } from "../../core/ports/secrets.ts"
import type { Logger } from "../../core/telemetry.ts"
import { decodeParams } from "../protocol/decode.ts"
import { isMethodName, type MethodName, METHODS_RESERVED } from "../protocol/methods.ts"
import { openRpcDocument } from "../protocol/openrpc.ts"
import { errorToTell } from "./defect.ts"
import type { Call, Connection, Method } from "./methods/call.ts"
import { METHOD_TABLE } from "./methods/table.ts"

export interface RouterOptions {
  readonly tasks: TaskService["Service"]
  readonly secrets: Secrets["Service"]
  readonly logger: Logger
  /** Of Berth, for `rpc.discover`. */
  readonly version: string
}

export interface Router {
  readonly call: (
    principal: Call["principal"],
    connection: Connection,
    method: string,
    params: unknown,
  ) => Effect.Effect<unknown, BerthError>
}

function unknownMethod(method: string): BerthError {
  const name = method.slice(0, 64)
  return METHODS_RESERVED.has(name)
    ? berthError("NOT_YET", `${name} is reserved for a later version`, {
        path: "method",
        hint: "Call rpc.discover for the methods of this version.",
      })
    : berthError("METHOD_NOT_FOUND", "there is no such method", { path: "method" })
}

export function makeRouter({ tasks, secrets, logger, version }: RouterOptions): Router {
  let document: Readonly<Record<string, unknown>> | null = null
  const discover = () => (document ??= openRpcDocument(version))

  const run = <M extends MethodName>(name: M, call: Call, params: unknown): Effect.Effect<unknown, BerthError> => {
    const method: Method<M> = METHOD_TABLE[name]
    if (method.role === "admin" && call.principal.role !== "admin")
      return Effect.fail(berthError("FORBIDDEN", `${name} is for admins`, { path: "method" }))
    return Effect.flatMap(Effect.fromResult(decodeParams(name, params)), (decoded) => method.handle(call, decoded))
  }

  return {
    call: (principal, connection, method, params) => {
      if (!isMethodName(method)) return Effect.fail(unknownMethod(method))
      const call: Call = { principal, connection, tasks, secrets, discover }
      return Effect.catchCause(
        Effect.suspend(() => run(method, call, params)),
        (cause) => Effect.fail(errorToTell(cause, logger, { method, owner: principal.owner }, "a method")),
      )
    },
  }
}
