/** Before anybody has said who he is: origins, hosts, heads that are too long, too slow, or none. */
import { connect } from "node:net"
import { DOOR } from "../../../gateway/protocol/limits.ts"
import { alike, type Attack, bearer, knock, type Target } from "./attack.ts"
import { foreignOrigins, spokenTo } from "./rawHttp.ts"

const SLOW_SOCKETS = 200
const SLOW_PIECE_MS = 200

const upgradeHead = (token: string): string =>
  [
    "GET /v1 HTTP/1.1",
    "host: 127.0.0.1",
    `authorization: Bearer ${token}`,
    "upgrade: websocket",
    "connection: upgrade",
    "sec-websocket-version: 13",
    "sec-websocket-protocol: berth.v1",
    "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==",
    "\r\n",
  ].join("\r\n")

const verdict = (spoken: string): string =>
  [/^HTTP\/1.1 (\d+)/.exec(spoken)?.[1] ?? "closed", /"code":"(\w+)"/.exec(spoken)?.[1] ?? ""].join(" ").trim()

/** A head that comes byte by byte and never ends. */
const trickle = (port: number): Promise<string> =>
  new Promise((resolve) => {
    let answer = ""
    const head = `GET /v1 HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: ${"a".repeat(DOOR.headBytesMax)}`
    let sent = 0
    const socket = connect(port, "127.0.0.1")
    const timer = setInterval(() => socket.write(head[sent++ % head.length] ?? "a"), SLOW_PIECE_MS)
    socket.on("data", (data) => (answer += String(data)))
    socket.on("error", () => undefined)
    socket.on("close", () => {
      clearInterval(timer)
      resolve(verdict(answer))
    })
  })

const many = async (target: Target, one: (port: number) => Promise<string>): Promise<string> =>
  alike(await Promise.all(Array.from({ length: SLOW_SOCKETS }, () => one(target.port))))

export const HANDSHAKE_ATTACKS: readonly Attack[] = [
  {
    name: "foreign, null and look-alike origins, each with a good token",
    expected: "403 FORBIDDEN",
    run: async (target) => {
      const token = await target.token("origins")
      const knocks = foreignOrigins(target.url, target.url).map((origin) =>
        knock(target, { headers: { origin, ...bearer(token) } }),
      )
      return alike(await Promise.all(knocks))
    },
  },
  {
    name: "no origin, and the token where any page could put it",
    expected: "401 UNAUTHORIZED",
    run: async (target) => knock(target, { protocols: ["berth.v1", `berth.token.${await target.token("no-origin")}`] }),
  },
  {
    name: "a token in the query string",
    expected: "401 UNAUTHORIZED",
    run: async (target) => {
      const token = await target.token("query")
      return knock(target, { path: `/v1?access_token=${token}`, headers: bearer(token) })
    },
  },
  {
    name: "a Host that somebody else's name resolved to",
    expected: "403 FORBIDDEN",
    run: async (target) => knock(target, { headers: { ...bearer(await target.token("host")), host: "evil.example" } }),
  },
  {
    name: "another subprotocol",
    expected: "400 INVALID_REQUEST",
    run: async (target) => knock(target, { protocols: ["berth.v9"], headers: bearer(await target.token("protocol")) }),
  },
  {
    name: "more than 4 KiB before authentication",
    expected: "431 TOO_LARGE",
    run: async ({ port }) =>
      verdict(
        await spokenTo(port, `GET /v1 HTTP/1.1\r\nhost: 127.0.0.1\r\nx: ${"a".repeat(DOOR.headBytesMax)}\r\n\r\n`),
      ),
  },
  {
    name: "frames sent along with the handshake's head",
    expected: "400 INVALID_REQUEST",
    run: async (target) =>
      verdict(await spokenTo(target.port, `${upgradeHead(await target.token("early"))}${"x".repeat(8_192)}`)),
  },
  {
    name: "bytes that are no HTTP",
    expected: "400 INVALID_REQUEST",
    run: async ({ port }) => verdict(await spokenTo(port, "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")),
  },
  {
    name: `slow loris: ${SLOW_SOCKETS} heads, a byte at a time`,
    expected: "408 DEADLINE_EXCEEDED",
    run: (target) => many(target, trickle),
    isPatient: true,
  },
  {
    name: `half open: ${SLOW_SOCKETS} connections that never say anything`,
    expected: "408 DEADLINE_EXCEEDED",
    run: (target) => many(target, async (port) => verdict(await spokenTo(port, ""))),
    isPatient: true,
  },
]
