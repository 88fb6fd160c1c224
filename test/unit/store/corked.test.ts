import type { Socket } from "node:net"
import { describe, expect, it } from "vitest"
import { CorkedTransport } from "../../../store/jetstream/corked.ts"

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const text = new TextEncoder()

/** A transport whose socket remembers what was written to it, and that it was destroyed. */
function corked() {
  const seen: string[] = []
  const socket = {
    write: (frame: Uint8Array, done: () => void) => {
      seen.push(Buffer.from(frame).toString())
      done()
    },
    removeAllListeners: () => {},
    destroy: () => seen.push("destroyed"),
  }
  const transport = new CorkedTransport()
  transport.socket = socket as unknown as Socket
  transport.options = {}
  transport.connected = true
  return { transport, seen, send: (frame: string) => transport.send(text.encode(frame)) }
}

describe("the corked transport", () => {
  it("CK1 is all that is sent in one turn of the loop one write, in order, also what is sent from its microtasks?", async () => {
    const { seen, send } = corked()
    send("a")
    await Promise.resolve()
    send("b")
    await Promise.resolve()
    send("c")
    expect(seen).toEqual([])
    await turn()
    expect(seen).toEqual(["abc"])
    send("d")
    await turn()
    expect(seen).toEqual(["abc", "d"])
  })

  it.each(["close", "disconnect"] as const)("CK2 is what was sent before it written before %s?", async (how) => {
    const { seen, send, transport } = corked()
    send("a")
    send("b")
    void transport[how]()
    await transport.closed()
    expect(seen.filter((each) => each !== "")).toEqual(["ab", "destroyed"])
    await turn()
    expect(seen.filter((each) => each !== "")).toEqual(["ab", "destroyed"])
  })

  it("CK3 does what is too much for one turn go out at once, and the rest at its end?", async () => {
    const { seen, send } = corked()
    const much = "x".repeat(64 * 1024)
    send(much)
    expect(seen).toEqual([])
    send("y")
    expect(seen).toEqual([`${much}y`])
    send("z")
    await turn()
    expect(seen).toEqual([`${much}y`, "z"])
  })
})
