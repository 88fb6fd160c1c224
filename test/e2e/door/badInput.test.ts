import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { DOOR } from "../../../gateway/protocol/limits.ts"
import { BAD_IDS, BAD_MESSAGES, GOOD, ID_METHODS, paramsFor, submitText } from "../../support/abuse/badMessages.ts"
import {
  padded,
  sendBrokenUtf8,
  sendFragmentsForEver,
  sendInParts,
  sendReservedBits,
} from "../../support/abuse/badFrames.ts"
import { connectRaw, type Door, openDoor, type RawClient } from "../../support/door.ts"

let door: Door
let ann: RawClient

beforeAll(async () => {
  door = await openDoor({ limits: { messagesPerSecond: 1_000_000, messagesBurst: 1_000_000 } })
})
beforeEach(async () => {
  ann = await connectRaw(door, await door.token("ann"))
  return () => ann.close()
})
afterAll(() => door.close())

/** The server lives: it answers on this connection, and has stored nothing. */
const unharmed = async (): Promise<void> => {
  expect((await ann.call("system.info")).result.info.nodeId).toBe("fake-1")
  expect(door.tasks.submitted).toEqual([])
}
describe("a message that is wrong gets a typed error, and nothing is stored", () => {
  it.each(BAD_MESSAGES)("$name", async ({ text, code, path, says }) => {
    ann.sendText(text)
    const { error } = await ann.next()
    expect({ code: error.data.code, path: error.data.path }).toEqual({ code, path })
    expect(error.message).toMatch(says)
    expect(error.data.hint.length).toBeGreaterThan(10)
    expect(Number.isInteger(error.code)).toBe(true)
    await unharmed()
  })

  it("ids that could leave their subject, on every method that takes one", async () => {
    for (const id of BAD_IDS) {
      for (const method of ID_METHODS) {
        const answer = await ann.call(method, paramsFor(method, id))
        expect([method, id, answer.error?.data]).toMatchObject([
          method,
          id,
          { code: "INVALID_PARAMS", path: "params.id" },
        ])
      }
      const requeue = await ann.call("dlq.requeue", { ids: ["good", id] })
      expect(requeue.error.data).toMatchObject({ code: "INVALID_PARAMS", path: "params.ids[1]" })
    }
    await unharmed()
  })

  it("pages, cursors and sequences out of range", async () => {
    const wrong: [string, object, string][] = [
      ["task.list", { rowsMax: 501 }, "params.rowsMax"],
      ["task.list", { rowsMax: 0 }, "params.rowsMax"],
      ["task.list", { cursor: "a b" }, "params.cursor"],
      ["task.list", { cursor: "x".repeat(513) }, "params.cursor"],
      ["task.list", { statuses: ["done"] }, "params.statuses[0]"],
      ["task.list", { statuses: [] }, "params.statuses"],
      ["task.get", { id: "a", minSeq: -1 }, "params.minSeq"],
      ["task.watch", { id: "a", fromSeq: 0.5 }, "params.fromSeq"],
      ["task.watch", { id: "a", fromSeq: 2 ** 60 }, "params.fromSeq"],
      ["dlq.requeue", {}, "params.id"],
      ["dlq.requeue", { ids: Array.from({ length: 101 }, () => "a") }, "params.ids"],
      ["task.unwatch", { subscription: "1" }, "params.subscription"],
      ["auth.refresh", {}, "params.token"],
      ["rpc.discover", { all: true }, "params.all"],
    ]
    for (const [method, params, path] of wrong) {
      const { error } = await ann.call(method, params)
      expect([method, error?.data.code, error?.data.path]).toEqual([method, "INVALID_PARAMS", path])
    }
    await unharmed()
  })

  it("what only others may: another owner's list, a lane above one's own", async () => {
    expect((await ann.call("task.list", { owner: "bob" })).error.data).toMatchObject({
      code: "FORBIDDEN",
      path: "params.owner",
    })
    const low = await connectRaw(door, await door.token("eve", { laneMax: "normal" }))
    const { error } = await low.call("task.submit", { runtime: "python", code: "1", lane: "urgent" })
    expect(error.data).toMatchObject({ code: "FORBIDDEN", path: "params.lane" })
    expect((await low.call("task.update", { id: "a", lane: "high" })).error.data).toMatchObject({
      code: "FORBIDDEN",
      path: "params.lane",
    })
    low.close()
    await unharmed()
  })

  it("a message without an id is neither done nor answered", async () => {
    ann.sendText(`{"jsonrpc":"2.0","method":"task.submit","params":{${GOOD}}}`)
    await unharmed()
    expect(ann.pending).toEqual([])
  })

  it("a binary frame", async () => {
    ann.socket.send(Buffer.from(submitText(`{${GOOD}}`)))
    expect((await ann.next()).error.data).toMatchObject({ code: "PARSE_ERROR", path: null })
    await unharmed()
  })
})

describe("what breaks the framing ends the connection, and only that one", () => {
  const ended = async (): Promise<number> => {
    const { code } = await ann.closed
    const other = await connectRaw(door, await door.token("bob"))
    expect((await other.call("system.info")).result.info.nodeId).toBe("fake-1")
    expect(door.tasks.submitted).toEqual([])
    other.close()
    return code
  }

  it("a message over a mebibyte: 1009; one of exactly a mebibyte is read", async () => {
    ann.sendText(padded(DOOR.frameBytesMax))
    expect((await ann.next()).error.data.code).toBe("INVALID_REQUEST")
    ann.sendText(padded(DOOR.frameBytesMax + 1))
    expect(await ended()).toBe(1009)
  })

  it("a message of sixty-five fragments: 1008; one of sixty-four is read", async () => {
    sendInParts(ann.socket, DOOR.fragmentsMax)
    expect((await ann.next()).id).toBe("parts")
    sendInParts(ann.socket, DOOR.fragmentsMax + 1)
    expect(await ended()).toBe(1008)
  })

  it("a message of a million fragments: 1008, long before its end", async () => {
    const sent = await sendFragmentsForEver(ann)
    expect(await ended()).toBe(1008)
    expect(sent).toBeLessThan(1_000_000)
  })

  it("text that is no UTF-8: 1007", async () => {
    sendBrokenUtf8(ann.socket)
    expect(await ended()).toBe(1007)
  })

  it("frames that are none: 1002", async () => {
    sendReservedBits(ann.socket)
    expect(await ended()).toBe(1002)
  })
})

describe("one idempotency key", () => {
  it("with two bodies is told; of two owners are two keys", async () => {
    const client = await connectRaw(door, await door.token("key-ann"))
    const other = await connectRaw(door, await door.token("key-bob"))
    const request = { runtime: "python", code: "1", idempotencyKey: "k" }
    const first = (await client.call("task.submit", request)).result
    const again = (await client.call("task.submit", { idempotencyKey: "k", code: "1", runtime: "python" })).result
    expect([again.duplicate, again.task.id]).toEqual([true, first.task.id])
    const { error } = await client.call("task.submit", { ...request, code: "2" })
    expect(error.data).toMatchObject({ code: "IDEMPOTENCY_MISMATCH", path: "params.idempotencyKey", retryable: false })
    const foreign = (await other.call("task.submit", { ...request, code: "2" })).result
    expect([foreign.duplicate, foreign.task.id === first.task.id]).toEqual([false, false])
    client.close()
    other.close()
  })
})
