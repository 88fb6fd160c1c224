import { Arbitrary, Effect, Result, Schema } from "effect"
import { describe, expect, it } from "vitest"
import { decodeParams, decodeResult } from "../../../gateway/protocol/decode.ts"
import { NOTIFICATIONS } from "../../../gateway/protocol/events.ts"
import { METHOD_NAMES, METHODS, METHODS_RESERVED } from "../../../gateway/protocol/methods.ts"
import { openRpcDocument } from "../../../gateway/protocol/openrpc.ts"

/** The document as a client gets it. */
const document = JSON.parse(JSON.stringify(openRpcDocument("1.2.3")))

const refsOf = (value: unknown): string[] => {
  if (Array.isArray(value)) return value.flatMap(refsOf)
  if (typeof value !== "object" || value === null) return []
  return Object.entries(value).flatMap(([key, inner]) => (key === "$ref" ? [String(inner)] : refsOf(inner)))
}

describe("the OpenRPC document", () => {
  it("names every method, and no other", () => {
    expect(document.methods.map(({ name }: { name: string }) => name)).toEqual([...METHOD_NAMES])
    expect(METHOD_NAMES.filter((name) => METHODS_RESERVED.has(name))).toEqual([])
    expect(document["x-notifications"].map(({ name }: { name: string }) => name)).toEqual(Object.keys(NOTIFICATIONS))
  })

  it("has only examples that decode", () => {
    let examples = 0
    for (const { name, examples: given } of document.methods) {
      for (const example of given) {
        examples++
        const decoded = decodeParams(name, example.params[0].value)
        expect([name, Result.isSuccess(decoded) ? "ok" : decoded.failure.message]).toEqual([name, "ok"])
      }
    }
    expect(examples).toBeGreaterThanOrEqual(METHOD_NAMES.length)
    for (const example of document.components.schemas.SubmitRequest.examples) {
      expect(Result.isSuccess(decodeParams("task.submit", example))).toBe(true)
    }
  })

  it("refers to nothing that it does not hold", () => {
    const refs = new Set(refsOf(document))
    expect(refs.size).toBeGreaterThan(5)
    for (const ref of refs) {
      const found = ref
        .split("/")
        .slice(1)
        .reduce((at, key) => at?.[key], document)
      expect([ref, found !== undefined]).toEqual([ref, true])
    }
  })

  it("says of every parameter what it is", () => {
    const submit = document.components.schemas.SubmitRequest.properties
    for (const [field, schema] of Object.entries(submit)) {
      const { description, $ref } = schema as { description?: string; $ref?: string }
      expect([field, (description ?? $ref ?? "").length > 5]).toEqual([field, true])
    }
  })
})

describe("every answer and notification", () => {
  const wholes = [
    ...METHOD_NAMES.map((name) => [name, METHODS[name].result] as const),
    ...Object.entries(NOTIFICATIONS).map(([name, { params }]) => [name, params] as const),
  ]
  it.each(wholes)("%s survives the way through JSON", async (_name, schema: Schema.Constraint) => {
    const decode = Schema.decodeUnknownSync(schema as Schema.ConstraintDecoder<unknown>)
    const checked = await Effect.runPromise(
      Arbitrary.checkEffect(
        Arbitrary.schema(schema),
        (value) =>
          Effect.sync(() => {
            const sent = JSON.parse(JSON.stringify(value))
            expect(JSON.parse(JSON.stringify(decode(sent)))).toEqual(sent)
            return true
          }),
        { runs: 25 },
      ),
    )
    expect(checked._tag).toBe("Passed")
  })

  it("may have fields that an older client does not know", () => {
    const decoded = decodeResult("auth.refresh", { expiresAtMs: 5, mood: "good" })
    expect(decoded).toEqual(Result.succeed({ expiresAtMs: 5 }))
    const wrong = decodeResult("auth.refresh", { expiresAtMs: "soon" })
    expect(Result.isFailure(wrong) && wrong.failure.code).toBe("INTERNAL")
  })
})
