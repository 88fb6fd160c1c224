/** Requests below any HTTP library, and origins that are none of ours. */
import { connect } from "node:net"

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
