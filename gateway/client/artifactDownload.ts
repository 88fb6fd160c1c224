import { Option, Schema } from "effect"
import { asBerthError, berthError, type BerthError, type ErrorCode } from "../../core/errors.ts"
import { LIMITS } from "../../core/limits.ts"
import { ErrorData, fromWireError } from "../protocol/wireError.ts"
import { httpOrigin } from "./endpoint.ts"
import type { TransportTarget } from "./transport.ts"

const Refusal = Schema.Struct({ error: Schema.Struct({ message: Schema.String, ...ErrorData.fields }) })
const decodeRefusal = Schema.decodeUnknownOption(Schema.fromJsonString(Refusal))

/** Fetches one artifact over HTTP, whole, within its bounds. Rejects with a BerthError or with the signal's reason. */
export async function downloadArtifact(
  target: TransportTarget,
  taskId: string,
  path: string,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const place = [taskId, "artifacts", ...path.split("/")].map(encodeURIComponent).join("/")
  try {
    const response = await fetch(`${httpOrigin(target.url)}/v1/tasks/${place}`, {
      headers: { authorization: `Bearer ${target.token}` },
      redirect: "error",
      ...(signal === undefined ? {} : { signal }),
    })
    if (!response.ok) throw refused(response.status, await response.text())
    const bytes = new Uint8Array(await response.arrayBuffer())
    if (bytes.length > LIMITS.artifactBytesMax) {
      throw berthError("TOO_LARGE", `an artifact is at most ${LIMITS.artifactBytesMax} bytes`, { path: "path" })
    }
    return bytes
  } catch (cause) {
    signal?.throwIfAborted()
    // What fetch itself throws is a TypeError without more.
    throw cause instanceof TypeError
      ? berthError("CONNECTION_LOST", `no answer from ${target.url}`, { cause })
      : asBerthError(cause)
  }
}

function refused(status: number, body: string): BerthError {
  const refusal = Option.getOrNull(decodeRefusal(body))
  if (refusal === null) return berthError(BY_STATUS[status] ?? "INTERNAL", `the server answered ${status}`)
  const { message, ...data } = refusal.error
  return fromWireError({ code: status, message, data })
}

/** For answers of something between us and the server, which knows nothing of our words. */
const BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  401: "UNAUTHORIZED",
  403: "FORBIDDEN",
  404: "NOT_FOUND",
  429: "RATE_LIMITED",
  502: "CONNECTION_LOST",
  503: "OVERLOADED",
  504: "DEADLINE_EXCEEDED",
}
