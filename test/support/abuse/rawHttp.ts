/** Requests below any HTTP library, and origins that are none of ours. */
import { connect, type Socket } from "node:net"

/** What a server says to bytes that are sent as they are, until it closes. */
export const spokenTo = (port: number, text: string): Promise<string> =>
  new Promise((resolve) => {
    let answer = ""
    const socket = connect(port, "127.0.0.1", () => socket.write(text))
    socket.on("data", (data) => (answer += String(data)))
    socket.on("error", () => undefined)
    socket.on("close", () => resolve(answer))
  })

/** Foreign, `null`, and such as look like one that is allowed. */
export const foreignOrigins = (allowed: string, own: string): readonly string[] =>
  ["https://evil.example", "null", `${allowed}.evil.example`, `${allowed.slice(0, -1)}é`, `${own}.evil.example`].map(
    encodeURI,
  )

/** Asks for one artifact so many times over one connection, and reads not a byte of the answers. */
export function askUnread(port: number, token: string, path: string, count: number): Socket {
  const one = (last: boolean): string =>
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\n${last ? "Connection: close\r\n" : ""}\r\n`
  const socket = connect(port, "127.0.0.1", () => socket.write(one(false).repeat(count - 1) + one(true)))
  socket.on("error", () => undefined)
  return socket.pause()
}
