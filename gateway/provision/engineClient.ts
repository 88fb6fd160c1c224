import { request, type IncomingMessage } from "node:http"
import type { Readable } from "node:stream"

/** Where an engine listens: a socket's path, or a host and port. */
export type EngineAddress = { readonly socketPath: string } | { readonly host: string; readonly port: number }

interface EngineRequest {
  readonly method: "GET" | "POST" | "DELETE"
  readonly path: string
  readonly query?: readonly (readonly [string, string])[]
  /** An object is sent as JSON, a stream as it is. */
  readonly body?: object | Readable
  readonly timeoutMs: number
}

export interface EngineReply {
  readonly status: number
  readonly text: string
}

const REPLY_BYTES_MAX = 16 * 1024 * 1024

const isStream = (body: object): body is Readable => "pipe" in body

const readReply = (message: IncomingMessage): Promise<EngineReply> =>
  new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let sizeBytes = 0
    message.on("data", (chunk: Buffer) => {
      sizeBytes += chunk.length
      if (sizeBytes <= REPLY_BYTES_MAX) chunks.push(chunk)
    })
    message.once("error", reject)
    message.once("end", () =>
      resolve({ status: message.statusCode ?? 0, text: Buffer.concat(chunks).toString("utf8") }),
    )
  })

/**
 * One call of the engine's HTTP interface. Provisioning needs six of them and must work before anything else does, so it
 * speaks HTTP itself. Rejects when the engine cannot be reached or `timeoutMs` pass without an end.
 */
export const callEngine = (address: EngineAddress, call: EngineRequest): Promise<EngineReply> => {
  const query = call.query === undefined ? "" : `?${new URLSearchParams(call.query.map(([k, v]) => [k, v])).toString()}`
  const body = call.body
  const asJson = body !== undefined && !isStream(body)
  return new Promise((resolve, reject) => {
    const outgoing = request({
      ...address,
      method: call.method,
      path: `${call.path}${query}`,
      signal: AbortSignal.timeout(call.timeoutMs),
      headers: {
        Host: "docker",
        ...(asJson ? { "Content-Type": "application/json" } : body ? { "Content-Type": "application/x-tar" } : {}),
      },
    })
    outgoing.once("error", reject)
    outgoing.once("response", (message) => void readReply(message).then(resolve, reject))
    if (body === undefined) outgoing.end()
    else if (isStream(body)) body.once("error", (error) => outgoing.destroy(error)).pipe(outgoing)
    else outgoing.end(JSON.stringify(body))
  })
}

/** A proxy in front of the engine may answer with something that is not JSON. */
const parseLine = (line: string): unknown => {
  try {
    return JSON.parse(line)
  } catch {
    return null
  }
}

/** The lines of a progress stream: one JSON object each; the call has failed when one has `error`, whatever the status. */
export const progressError = (reply: EngineReply): string | null => {
  for (const line of reply.text.split("\n")) {
    if (line.trim() === "") continue
    const parsed = parseLine(line)
    if (typeof parsed !== "object" || parsed === null) continue
    if ("error" in parsed) return String(parsed.error)
    if (reply.status >= 400 && "message" in parsed) return String(parsed.message)
  }
  return reply.status >= 400 ? `the engine answered ${reply.status}` : null
}
