import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { DOOR } from "../../../gateway/protocol/limits.ts"
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
const submitText = (params: string) => `{"jsonrpc":"2.0","id":"x","method":"task.submit","params":${params}}`
const good = '"runtime":"python","code":"1"'

describe("a message that is wrong gets a typed error, and nothing is stored", () => {
  const cases: readonly [name: string, text: string, code: string, path: string | null, says: RegExp][] = [
    ["no JSON", "{", "PARSE_ERROR", null, /JSON/],
    ["a batch", `[${submitText(`{${good}}`)}]`, "INVALID_REQUEST", null, /batch/],
    ["an unknown method", '{"jsonrpc":"2.0","id":"x","method":"task.explode"}', "METHOD_NOT_FOUND", "method", /method/],
    [
      "a method named like a property",
      '{"jsonrpc":"2.0","id":"x","method":"constructor"}',
      "METHOD_NOT_FOUND",
      "method",
      /method/,
    ],
    ["a later method", '{"jsonrpc":"2.0","id":"x","method":"worker.drain"}', "NOT_YET", "method", /reserved/],
    ["an unknown field", submitText(`{${good},"colour":1}`), "INVALID_PARAMS", "params.colour", /not a field/],
    ["an owner", submitText(`{${good},"owner":"bob"}`), "INVALID_PARAMS", "params.owner", /not a field/],
    ["an epoch", submitText(`{${good},"epoch":9}`), "INVALID_PARAMS", "params.epoch", /not a field/],
    ["a priority", submitText(`{${good},"priority":9}`), "INVALID_PARAMS", "params.priority", /not a field/],
    [
      "a field of the envelope",
      '{"jsonrpc":"2.0","id":"x","method":"task.list","owner":"bob"}',
      "INVALID_REQUEST",
      "owner",
      /field/,
    ],
    ["a reserved field", submitText(`{${good},"pool":"p"}`), "NOT_YET", "params.pool", /reserved/],
    [
      "__proto__",
      submitText(`{${good},"labels":{"__proto__":"x"}}`),
      "INVALID_PARAMS",
      "params.labels.__proto__",
      /__proto__/,
    ],
    [
      "constructor",
      submitText('{"handler":"h","input":{"constructor":{"prototype":1}}}'),
      "INVALID_PARAMS",
      "params.input.constructor",
      /constructor/,
    ],
    ["1e400", submitText(`{${good},"timeoutMs":1e400}`), "INVALID_PARAMS", "params.timeoutMs", /finite/],
    [
      "depth",
      submitText(`{"handler":"h","input":${"[".repeat(10_000)}${"]".repeat(10_000)}}`),
      "TOO_LARGE",
      `params.input${"[0]".repeat(30)}`,
      /32/,
    ],
    ["a hundred thousand levels", "[".repeat(100_000), "PARSE_ERROR", null, /JSON/],
    [
      "keys",
      submitText(`{"handler":"h","input":{${Array.from({ length: 1_001 }, (_, at) => `"k${at}":1`).join()}}}`),
      "TOO_LARGE",
      "params.input",
      /1000/,
    ],
    [
      "a huge key",
      submitText(`{"${"k".repeat(DOOR.stringBytesMax + 1)}":1}`),
      "TOO_LARGE",
      `params["${"k".repeat(64)}"]`,
      /262144/,
    ],
    [
      "a huge string",
      submitText(`{"runtime":"python","code":"${"x".repeat(DOOR.stringBytesMax + 1)}"}`),
      "TOO_LARGE",
      "params.code",
      /262144/,
    ],
    [
      "half a character",
      submitText('{"runtime":"python","code":"\\ud800"}'),
      "INVALID_PARAMS",
      "params.code",
      /Unicode/,
    ],
    [
      "an unknown runtime",
      submitText('{"runtime":"cobol","code":"1"}'),
      "RUNTIME_UNKNOWN",
      "params.runtime",
      /runtime/,
    ],
    [
      "a time far ahead",
      submitText(`{${good},"startAtMs":8640000000000000}`),
      "INVALID_PARAMS",
      "params.startAtMs",
      /ahead/,
    ],
    [
      "a path that leaves",
      submitText('{"runtime":"python","files":[{"path":"../x","content":""}]}'),
      "INVALID_PARAMS",
      "params.files[0].path",
      /normal/,
    ],
    ["a NUL", submitText('{"image":"debian","command":["a\\u0000b"]}'), "INVALID_PARAMS", "params.command[0]", /NUL/],
  ]
  it.each(cases)("%s", async (_name, text, code, path, says) => {
    ann.sendText(text)
    const { error } = await ann.next()
    expect({ code: error.data.code, path: error.data.path }).toEqual({ code, path })
    expect(error.message).toMatch(says)
    expect(error.data.hint.length).toBeGreaterThan(10)
    expect(Number.isInteger(error.code)).toBe(true)
    await unharmed()
  })

  it("ids that could leave their subject, on every method that takes one", async () => {
    for (const id of ["a.b", "*", ">", "a b", "a\r\nb", "", "x".repeat(65), "é", "../x", "a\u0000"]) {
      for (const method of [
        "task.get",
        "task.update",
        "task.cancel",
        "task.kill",
        "task.retry",
        "task.delete",
        "task.watch",
      ]) {
        const answer = await ann.call(method, method === "task.update" ? { id, lane: "low" } : { id })
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
    ann.sendText(`{"jsonrpc":"2.0","method":"task.submit","params":{${good}}}`)
    await unharmed()
    expect(ann.pending).toEqual([])
  })

  it("a binary frame", async () => {
    ann.socket.send(Buffer.from(submitText(`{${good}}`)))
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
    const padded = (bytes: number) => `{${" ".repeat(bytes - 2)}}`
    ann.sendText(padded(DOOR.frameBytesMax))
    expect((await ann.next()).error.data.code).toBe("INVALID_REQUEST")
    ann.sendText(padded(DOOR.frameBytesMax + 1))
    expect(await ended()).toBe(1009)
  })

  it("a message of sixty-five fragments: 1008; one of sixty-four is read", async () => {
    const inParts = (count: number) => {
      const parts = ['{"id":"parts"', ...Array.from({ length: count - 2 }, () => " "), "}"]
      for (const [at, data] of parts.entries()) ann.socket.send(data, { fin: at === count - 1 })
    }
    inParts(DOOR.fragmentsMax)
    expect((await ann.next()).id).toBe("parts")
    inParts(DOOR.fragmentsMax + 1)
    expect(await ended()).toBe(1008)
  })

  it("a message of a million fragments: 1008, long before its end", async () => {
    let isOpen = true
    void ann.closed.then(() => (isOpen = false))
    let sent = 0
    while (sent < 1_000_000 && isOpen) {
      for (let at = 0; at < 100; at++, sent++) ann.socket.send("x", { fin: false })
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(await ended()).toBe(1008)
    expect(sent).toBeLessThan(1_000_000)
  })

  it("text that is no UTF-8: 1007", async () => {
    ann.socket.send(Buffer.from([0xff, 0xfe]), { binary: false })
    expect(await ended()).toBe(1007)
  })

  it("frames that are none: 1002", async () => {
    // Reaches below the library: a frame with reserved bits set.
    const { _socket: tcp } = ann.socket as unknown as { _socket: { write: (bytes: Uint8Array) => void } }
    tcp.write(new Uint8Array([0xf1, 0x80, 0, 0, 0, 0]))
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
