import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { asBerthError, berthError, ERROR_CODES, type ErrorCode } from "../../../core/errors.ts"
import {
  idAtFront,
  readRequest,
  readServerMessage,
  writeError,
  writeNotification,
  writeRequest,
  writeResult,
} from "../../../gateway/protocol/envelope.ts"
import { fromWireError, RPC_CODES, toWireError } from "../../../gateway/protocol/wireError.ts"

const refusal = (text: string) => {
  const incoming = readRequest(text)
  return incoming.kind === "refused"
    ? { id: incoming.id, code: incoming.error.code, path: incoming.error.path }
    : incoming
}
const request = (more: object) => JSON.stringify({ jsonrpc: "2.0", id: 7, method: "task.get", ...more })

describe("what is a request?", () => {
  it("V1: jsonrpc, id, method and parameters in an object", () => {
    expect(readRequest(writeRequest("a", "task.get", { id: "x" }))).toEqual({
      kind: "request",
      id: "a",
      method: "task.get",
      params: { id: "x" },
    })
    expect(readRequest(request({}))).toEqual({ kind: "request", id: 7, method: "task.get", params: undefined })
  })

  it("V1: anything else about it is refused, with its id and the place", () => {
    const invalid = (path: string | undefined, id: number | null = 7) => ({ id, code: "INVALID_REQUEST", path })
    expect(refusal(request({ jsonrpc: "1.0" }))).toEqual(invalid("jsonrpc"))
    expect(refusal(request({ method: 5 }))).toEqual(invalid("method"))
    expect(refusal(request({ params: [] }))).toEqual(invalid("params"))
    expect(refusal(request({ params: null }))).toEqual(invalid("params"))
    expect(refusal(request({ params: "x" }))).toEqual(invalid("params"))
    expect(refusal(request({ result: 1 }))).toEqual(invalid("result"))
    for (const id of [null, 1.5, "", "x".repeat(129), {}, true, 2 ** 60]) {
      expect(refusal(request({ id }))).toEqual(invalid("id", null))
    }
  })

  it("V2: without an id it is a notification", () => {
    expect(readRequest('{"jsonrpc":"2.0","method":"task.kill","params":{"id":"x"}}')).toEqual({ kind: "notification" })
  })

  it("V3: a batch is refused as a whole", () => {
    expect(refusal(`[${request({})}]`)).toEqual({ id: null, code: "INVALID_REQUEST", path: undefined })
    expect(refusal("[]")).toEqual({ id: null, code: "INVALID_REQUEST", path: undefined })
  })

  it("V4: what is no JSON, or no object, is answered without an id", () => {
    for (const text of ["", "{", "\u0000", "undefined", '{"id":7']) {
      expect(refusal(text)).toEqual({ id: null, code: "PARSE_ERROR", path: undefined })
    }
    for (const text of ["1", '"x"', "null", "true"]) {
      expect(refusal(text)).toEqual({ id: null, code: "INVALID_REQUEST", path: undefined })
    }
  })

  it("the bounds come first, and the answer still carries the id", () => {
    expect(refusal(request({ params: { a: { __proto__: null } } }))).toMatchObject({ kind: "request" })
    expect(refusal('{"jsonrpc":"2.0","id":7,"method":"x","params":{"__proto__":{}}}')).toEqual({
      id: 7,
      code: "INVALID_PARAMS",
      path: "params.__proto__",
    })
  })

  it("no text whatever makes it throw", () => {
    const texts = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.json(),
      fc
        .record(
          { jsonrpc: fc.jsonValue(), id: fc.jsonValue(), method: fc.jsonValue(), params: fc.jsonValue() },
          { requiredKeys: [] },
        )
        .map((value) => JSON.stringify(value)),
    )
    fc.assert(
      fc.property(texts, (text) => {
        expect(["request", "notification", "refused"]).toContain(readRequest(text).kind)
      }),
      { numRuns: 500 },
    )
  })
})

describe("what does a client read?", () => {
  it("results, errors and notifications as they were written", () => {
    const error = berthError("NOT_FOUND", "no task x", { path: "params.id" })
    expect(readServerMessage(writeResult(1, { a: 1 }))).toEqual({ kind: "result", id: 1, result: { a: 1 } })
    expect(readServerMessage(writeError(null, error))).toEqual({ kind: "error", id: null, error: toWireError(error) })
    const params = { subscription: "s1", error: null }
    expect(readServerMessage(writeNotification("subscription.ended", params))).toEqual({
      kind: "notification",
      method: "subscription.ended",
      params,
    })
    for (const text of ["{", "[]", "1", '{"jsonrpc":"2.0"}', '{"jsonrpc":"1.0","id":1,"result":1}']) {
      expect(readServerMessage(text)).toBeNull()
    }
  })
})

describe("errors on the wire", () => {
  const codes = Object.keys(ERROR_CODES) as ErrorCode[]

  it("have an integer each, and none twice", () => {
    expect(Object.keys(RPC_CODES).sort()).toEqual([...codes].sort())
    expect(new Set(Object.values(RPC_CODES)).size).toBe(codes.length)
  })

  it("come back as they were, hint and path included", () => {
    for (const code of codes) {
      const sent = berthError(code, "words", code === "NOT_FOUND" ? { path: "params.id", hint: "look" } : {})
      const back = fromWireError(JSON.parse(JSON.stringify(toWireError(sent))))
      expect([back.code, back.message, back.path, back.advice, back.retryable]).toEqual([
        sent.code,
        sent.message,
        sent.path,
        sent.advice,
        sent.retryable,
      ])
    }
  })

  it("of a newer server become INTERNAL and keep their name; causes never leave", () => {
    const data = { code: "MOON_PHASE", retryable: false, hint: "wait", path: null }
    expect(fromWireError({ code: -1, message: "words", data })).toMatchObject({
      code: "INTERNAL",
      message: "MOON_PHASE: words",
    })
    const leaky = asBerthError(new Error("words", { cause: "hidden" }))
    expect(JSON.stringify(toWireError(leaky))).not.toContain("hidden")
  })
})

describe("the id of a request that is read no further", () => {
  it("is the one in front, as our own clients write it, and otherwise none", () => {
    const front = (id: string) => idAtFront(`{"jsonrpc":"2.0","id":${id},"method":"x","params":{`)
    expect(idAtFront(writeRequest("r-1", "task.get", { id: "a" }))).toBe("r-1")
    expect([front("7"), front("-7"), front('"é"')]).toEqual([7, -7, "é"])
    for (const id of ['""', `"${"x".repeat(129)}"`, '"a\\"b"', "1e3", "1.5", "null", "{}", "1".repeat(16), ""])
      expect(front(id)).toBeNull()
    expect(idAtFront('{"id":1,"jsonrpc":"2.0"}')).toBeNull()
    expect(idAtFront("")).toBeNull()
  })
})
