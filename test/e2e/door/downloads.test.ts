/** How many artifacts does the door hold in memory for readers that do not read? */
import type { Socket } from "node:net"
import { afterEach, describe, expect, it } from "vitest"
import { DOOR } from "../../../gateway/protocol/limits.ts"
import type { DoorLimits } from "../../../gateway/server/limits.ts"
import { askUnread } from "../../support/abuse/rawHttp.ts"
import { type Door, openDoor } from "../../support/door.ts"
import { until } from "../../support/until.ts"

/** More than a kernel keeps for a reader that does not read. */
const FILE = new Uint8Array(64 * 1024 * 1024)

let door: Door
const sockets: Socket[] = []
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await door.close()
})

const opened = async (limits: Partial<DoorLimits> = {}): Promise<void> => {
  door = await openDoor({ limits })
  for (const owner of ["ann", "bob"]) {
    const { id } = door.tasks.add(owner, { id: owner })
    door.tasks.artifacts.set(`${id} big`, FILE)
  }
}
const read = (): number => door.tasks.calls.filter((call) => call.startsWith("artifact")).length

const pathOf = (owner: string): string => `/v1/tasks/${owner}/artifacts/big`

async function unread(owner: string, count: number): Promise<Socket> {
  const socket = askUnread(door.server.port, await door.token(owner), pathOf(owner), count)
  sockets.push(socket)
  return socket
}

const answerTo = async (owner: string, method = "GET"): Promise<string> => {
  const response = await fetch(`${door.url}${pathOf(owner)}`, {
    method,
    headers: { authorization: `Bearer ${await door.token(owner)}` },
  })
  const bytes = await response.arrayBuffer()
  if (response.ok) return `${response.status} ${bytes.byteLength}`
  return `${response.status} ${JSON.parse(Buffer.from(bytes).toString()).error.code}`
}
const WHOLE = `200 ${FILE.length}`

describe("downloads that nobody reads", () => {
  it("on one connection, one behind the other: no more of them are read than an owner may have at a time", async () => {
    await opened()
    await unread("ann", 100)
    await until(() => read() >= DOOR.downloadsPerOwnerMax)
    expect(await answerTo("ann")).toBe("429 TOO_MANY")
    expect(await answerTo("bob")).toBe(WHOLE)
    expect(read()).toBe(DOOR.downloadsPerOwnerMax + 1)
  })

  it("of many owners are bounded together", async () => {
    await opened({ downloadsMax: 3, downloadsPerOwnerMax: 2 })
    await unread("ann", 2)
    await unread("bob", 1)
    await until(() => read() === 3)
    expect(await answerTo("bob")).toBe("503 OVERLOADED")
    expect(read()).toBe(3)
  })

  it("take their places until they are gone, wherever in the line they stood", async () => {
    await opened()
    const socket = await unread("ann", DOOR.downloadsPerOwnerMax)
    await until(() => read() === DOOR.downloadsPerOwnerMax)
    expect(await answerTo("ann")).toBe("429 TOO_MANY")
    socket.destroy()
    await expect.poll(() => answerTo("ann"), { timeout: 30_000 }).toBe(WHOLE)
    // All of them were given back, not only the first.
    const before = read()
    for (let at = 0; at < DOOR.downloadsPerOwnerMax; at += 1) await unread("ann", 1)
    await until(() => read() === before + DOOR.downloadsPerOwnerMax)
    expect(await answerTo("ann")).toBe("429 TOO_MANY")
  })

  it("and those that are read, or fail, or have no body, take none for longer", async () => {
    await opened({ downloadsMax: 1, downloadsPerOwnerMax: 1 })
    expect(await answerTo("ann")).toBe(WHOLE)
    await expect.poll(() => answerTo("ann", "HEAD"), { timeout: 30_000 }).toBe("200 0")
    door.tasks.artifacts.clear()
    await expect.poll(() => answerTo("ann"), { timeout: 30_000 }).toBe("404 NOT_FOUND")
    await expect.poll(() => answerTo("bob"), { timeout: 30_000 }).toBe("404 NOT_FOUND")
  })
})
