/** Does a client get all the artifacts that it asks for, however many places the door has? */
import { Effect, Latch } from "effect"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { type BerthClient, connect } from "../../../gateway/client/index.ts"
import { DOOR } from "../../../gateway/protocol/limits.ts"
import { type Door, openDoor } from "../../support/door.ts"

const PATHS = Array.from({ length: DOOR.downloadsPerOwnerMax * 3 }, (_, at) => `f${at}`)

let door: Door
let client: BerthClient
let id: string

beforeEach(async () => {
  door = await openDoor()
  client = await connect(door.url, { token: () => door.token() })
  id = door.tasks.add("ann").id
  for (const [at, path] of PATHS.entries()) door.tasks.artifacts.set(`${id} ${path}`, Uint8Array.of(at))
})
afterEach(async () => {
  await client.close()
  await door.close()
})

const got = async (from: BerthClient, path: string, signal?: AbortSignal): Promise<number | undefined> =>
  (await from.artifact(id, path, signal === undefined ? {} : { signal }))[0]
const all = (from: BerthClient) => Promise.all(PATHS.map((path) => got(from, path)))

describe("more downloads at once than the door gives one owner", () => {
  it("all come, also beside another client of the same owner", async () => {
    door.tasks.hold = Effect.sleep(5)
    const other = await connect(door.url, { token: () => door.token() })
    const expected = PATHS.map((_, at) => at)
    expect(await Promise.all([all(client), all(other)])).toEqual([expected, expected])
    await other.close()
  })

  it("one that waits for its turn ends with its signal, and takes nobody's place", async () => {
    const held = Latch.makeUnsafe(false)
    door.tasks.hold = held.await
    const stop = new AbortController()
    const first = PATHS.slice(0, DOOR.downloadsPerOwnerMax).map((path) => got(client, path))
    const given = PATHS.map((path) => got(client, path, stop.signal))
    const behind = got(client, "f7")
    stop.abort(new Error("enough"))
    expect((await Promise.allSettled(given)).map((each) => each.status === "rejected" && String(each.reason))).toEqual(
      PATHS.map(() => "Error: enough"),
    )
    held.openUnsafe()
    expect(await Promise.all([...first, behind])).toEqual([0, 1, 2, 3, 7])
    expect(await all(client)).toEqual(PATHS.map((_, at) => at))
  })

  it("a refusal for another reason is told at once, and gives its place back", async () => {
    const missing = PATHS.map(() => client.artifact(id, "none").catch((error: { readonly code: string }) => error.code))
    expect(await Promise.all(missing)).toEqual(PATHS.map(() => "NOT_FOUND"))
    expect(await got(client, "f1")).toBe(1)
  })
})
