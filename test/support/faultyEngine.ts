/** An engine that misbehaves on demand: a socket in front of a real one, so that what it lets through is true. */
import { rmSync } from "node:fs"
import { connect, createServer, type Socket } from "node:net"
import type { FoundEngine } from "../../gateway/provision/engine.ts"

/** `dead`: nobody listens, and whoever was connected is cut off. */
export type EngineMood = "well" | "error500" | "hangs" | "dead"

export interface FaultyEngine {
  /** As `DOCKER_HOST` names it. */
  readonly host: string
  /** Connections from before go the way of the new mood, too. */
  readonly setMood: (mood: EngineMood) => Promise<void>
  /** Dies as soon as it has answered the next start of a container; resolves then. */
  readonly dieAfterStart: () => Promise<void>
  readonly close: () => Promise<void>
}

const BODY = '{"message":"the drill says so"}'
const ERROR_500 = [
  "HTTP/1.1 500 Internal Server Error",
  "Content-Type: application/json",
  `Content-Length: ${BODY.length}`,
  "Connection: close",
  "",
  BODY,
].join("\r\n")

const STARTS = /^POST \S*\/containers\/[^/\s]+\/start[ ?]/

export async function openFaultyEngine(engine: FoundEngine, socketPath: string): Promise<FaultyEngine> {
  const { address } = engine
  const sockets = new Set<Socket>()
  let mood: EngineMood = "well"
  let onStarted: (() => void) | null = null

  const passOn = (client: Socket): void => {
    const real = "socketPath" in address ? connect(address.socketPath) : connect(address.port, address.host)
    sockets.add(real)
    let starting = false
    const end = () => {
      client.destroy()
      real.destroy()
      sockets.delete(client)
      sockets.delete(real)
    }
    client.on("data", (bytes) => {
      if (mood === "hangs") return
      starting = STARTS.test(bytes.toString("latin1"))
      real.write(bytes)
    })
    real.on("data", (bytes) => {
      if (mood === "hangs") return
      client.write(bytes)
      if (!starting || onStarted === null) return
      const tell = onStarted
      onStarted = null
      tell()
    })
    // A half that is closed, as after a fed program, says nothing about the other half.
    client.on("end", () => void (mood === "hangs" || real.end()))
    real.on("end", () => void (mood === "hangs" || client.end()))
    for (const socket of [client, real]) socket.on("error", end).on("close", end)
  }
  const server = createServer({ allowHalfOpen: true }, (client) => {
    sockets.add(client)
    client.on("error", () => client.destroy())
    client.on("close", () => sockets.delete(client))
    if (mood === "well") return passOn(client)
    if (mood === "error500") client.once("data", () => client.end(ERROR_500))
    // Whoever hangs reads and says nothing.
    else client.on("data", () => undefined)
  })
  const listen = (): Promise<void> => new Promise((resolve) => server.listen(socketPath, resolve))
  const cut = () => {
    for (const socket of sockets) socket.destroy()
    sockets.clear()
  }
  const stopListening = (): Promise<void> =>
    new Promise((resolve) => {
      cut()
      if (server.listening) server.close(() => resolve())
      else resolve()
    })
  await listen()

  const setMood = async (next: EngineMood): Promise<void> => {
    const was = mood
    mood = next
    if (next === "dead") return stopListening()
    // A hang keeps its connections; everything else starts from new ones.
    if (next !== "hangs") cut()
    if (was === "dead") {
      rmSync(socketPath, { force: true })
      await listen()
    }
  }
  return {
    host: `unix://${socketPath}`,
    setMood,
    dieAfterStart: () =>
      new Promise<void>((resolve) => {
        onStarted = () => void setMood("dead").then(resolve)
      }),
    close: stopListening,
  }
}
