import { describe, expect, it } from "vitest"
import type { Logger } from "../../../core/telemetry.ts"
import { connectRaw, handshake, openDoor } from "../../support/door.ts"

describe("what the door writes to its log", () => {
  it("is who came and what was asked, and no token, no program, no variable, no made-up name", async () => {
    const lines: string[] = []
    const write = (fields: object, message: string): void => void lines.push(JSON.stringify({ ...fields, message }))
    const logger: Logger = { debug: write, info: write, warn: write, error: write }
    const door = await openDoor({ logger })
    const token = await door.token("ann")
    const client = await connectRaw(door, token)
    const secret = "hunter2hunter2"
    await client.call("task.submit", {
      runtime: "python",
      code: secret,
      env: { PASSWORD: secret },
      args: [secret],
      stdin: secret,
    })
    await client.call("task.submit", { runtime: secret, code: secret })
    await client.call(secret, { [secret]: secret })
    client.sendText(`{${secret}`)
    await client.next()
    await handshake(door, { headers: { authorization: `Bearer ${secret}`, origin: secret } })
    await handshake(door, { path: `/v1?token=${secret}` })
    client.socket.send(Buffer.from([0xff]), { binary: false })
    await client.closed
    await door.close()
    const text = lines.join("\n")
    expect(text).toContain('"owner":"ann"')
    expect(text).toContain('"method":"task.submit"')
    expect(text).toContain('"code":"UNAUTHORIZED"')
    for (const word of [secret, token, token.split(".")[2] ?? token]) expect(text).not.toContain(word)
  })
})
