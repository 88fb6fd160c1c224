/** A real listening server over a fake TaskService, and a client that speaks raw messages. */
import { Effect } from "effect"
import { Registry } from "prom-client"
import { WebSocket, type ClientOptions } from "ws"
import type { Principal } from "../../actors/api.ts"
import { DOOR } from "../../gateway/protocol/limits.ts"
import type { DoorLimits } from "../../gateway/server/limits.ts"
import { listen, type Listening, type ListenOptions } from "../../gateway/server/listen.ts"
import { makeRouter } from "../../gateway/server/router.ts"
import { mintToken } from "../../gateway/server/secret.ts"
import { liveClock } from "./clock.ts"
import { fakeTasks, type FakeTasks } from "./fakeTasks.ts"
import { memorySecrets } from "./secrets.ts"
import { SILENT } from "./silent.ts"

export const SECRET = new Uint8Array(32).fill(7)

export interface Door {
  readonly tasks: FakeTasks
  readonly server: Listening
  readonly registry: Registry
  readonly url: string
  readonly socketUrl: string
  readonly token: (owner?: string, more?: Partial<Principal>, lifeMs?: number) => Promise<string>
  readonly close: () => Promise<void>
}

/** Starts a server on any free port of 127.0.0.1. */
export async function openDoor(
  more: Partial<ListenOptions> & { readonly limits?: Partial<DoorLimits> } = {},
): Promise<Door> {
  const clock = more.clock ?? liveClock
  const tasks = fakeTasks(clock.nowMs)
  const registry = new Registry()
  const logger = more.logger ?? SILENT
  const router = makeRouter({ tasks: tasks.service, secrets: memorySecrets(), logger, version: "0.0.0" })
  const server = await Effect.runPromise(
    listen({
      tasks: tasks.service,
      router,
      clock,
      logger,
      auth: { secret: SECRET, jwks: null },
      port: 0,
      registry,
      ...more,
    }),
  )
  return {
    tasks,
    server,
    registry,
    url: server.url,
    socketUrl: `${server.url.replace("http", "ws")}/v1`,
    token: (owner = "ann", principal = {}, lifeMs = DOOR.tokenMsMax) =>
      mintToken(SECRET, { owner, role: "user", laneMax: "urgent", ...principal }, clock.nowMs(), lifeMs),
    close: () => Effect.runPromise(server.close("goingAway")),
  }
}

/** A parsed message, looked into freely. */
export type Message = ReturnType<typeof JSON.parse>

export interface RawClient {
  readonly socket: WebSocket
  /** Sends a request and resolves with its whole answer. */
  readonly call: (method: string, params?: unknown) => Promise<Message>
  /** Sends a text as it is. */
  readonly sendText: (text: string) => void
  /** The next message that is no answer to a `call`. */
  readonly next: () => Promise<Message>
  /** Messages that came and were not taken by `next` or `call`. */
  readonly pending: readonly Message[]
  /** Resolves with the code and reason when the socket has closed. */
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>
  readonly close: () => void
}

/** A socket as far as its handshake. */
export function rawClient(socket: WebSocket): RawClient {
  const answers = new Map<number, (message: Message) => void>()
  const pending: Message[] = []
  const takers: ((message: Message) => void)[] = []
  let calls = 0
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.on("close", (code, reason) => resolve({ code, reason: reason.toString() }))
  })
  socket.on("error", () => undefined)
  socket.on("message", (data) => {
    const message: Message = JSON.parse(Buffer.from(data as Buffer).toString())
    const answer = typeof message.id === "number" ? answers.get(message.id) : undefined
    if (answer !== undefined) {
      answers.delete(message.id)
      answer(message)
      return
    }
    const taker = takers.shift()
    if (taker === undefined) pending.push(message)
    else taker(message)
  })
  return {
    socket,
    pending,
    closed,
    call: (method, params = {}) => {
      const id = ++calls
      return new Promise((resolve, reject) => {
        answers.set(id, resolve)
        void closed.then(({ code }) => reject(new Error(`closed with ${code}`)))
        socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }))
      })
    },
    sendText: (text) => socket.send(text),
    next: () =>
      new Promise((resolve) => {
        const first = pending.shift()
        if (first === undefined) takers.push(resolve)
        else resolve(first)
      }),
    close: () => socket.close(),
  }
}

/** Connects with a token in the header, as programs do. */
export async function connectRaw(
  door: Pick<Door, "socketUrl">,
  token: string,
  options: ClientOptions = {},
): Promise<RawClient> {
  const socket = new WebSocket(door.socketUrl, ["berth.v1"], {
    ...options,
    headers: { authorization: `Bearer ${token}`, ...options.headers },
  })
  const client = rawClient(socket)
  await new Promise<void>((resolve, reject) => {
    socket.once("open", () => resolve())
    socket.once("error", reject)
  })
  return client
}

/** The status and body of a handshake that is refused, or 101. */
export function handshake(
  door: Pick<Door, "url">,
  options: {
    readonly protocols?: readonly string[]
    readonly headers?: Record<string, string>
    readonly path?: string
  },
): Promise<{ readonly status: number; readonly body: Message; readonly protocol: string | null }> {
  const url = `${door.url.replace("http", "ws")}${options.path ?? "/v1"}`
  const socket = new WebSocket(url, [...(options.protocols ?? ["berth.v1"])], { headers: options.headers ?? {} })
  return new Promise((resolve, reject) => {
    socket.once("open", () => {
      resolve({ status: 101, body: null, protocol: socket.protocol })
      socket.terminate()
    })
    socket.once("unexpected-response", (_request, response) => {
      let body = ""
      response.on("data", (chunk) => (body += String(chunk)))
      response.on("end", () => {
        resolve({ status: response.statusCode ?? 0, body: JSON.parse(body || "null"), protocol: null })
        socket.terminate()
      })
    })
    socket.on("error", (error) => reject(error))
  })
}
