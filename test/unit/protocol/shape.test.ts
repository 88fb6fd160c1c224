/** Does the quick look at a message ever say yes where decoding would not, or would make something else of it (F1)? */
import { Arbitrary, Effect, Result, Schema } from "effect"
import { describe, expect, it } from "vitest"
import { NOTIFICATIONS } from "../../../gateway/protocol/events.ts"
import { METHOD_NAMES, METHODS } from "../../../gateway/protocol/methods.ts"
import { shapeOf } from "../../../gateway/protocol/shape.ts"

type Decoder = Schema.ConstraintDecoder<unknown>

/** What a careless or a newer sender makes of a value: every place of it, changed in every way. */
function* spoilt(value: unknown): Generator<unknown> {
  for (const other of [null, "", "x", -1, 0.5, true, [], {}, [null]]) yield other
  if (typeof value !== "object" || value === null) return
  if (Array.isArray(value)) {
    yield [...value, null]
    for (const [at, inner] of value.entries()) for (const bad of spoilt(inner)) yield value.with(at, bad)
    return
  }
  yield { ...value, unknown: 1 }
  yield JSON.parse(`${JSON.stringify(value).slice(0, -1)}${Object.keys(value).length === 0 ? "" : ","}"__proto__":{}}`)
  for (const [key, inner] of Object.entries(value)) {
    const { [key]: _gone, ...rest } = value as Record<string, unknown>
    yield rest
    for (const bad of spoilt(inner)) yield { ...value, [key]: bad }
  }
}

const ANSWERS: readonly (readonly [string, Schema.Constraint])[] = [
  ...METHOD_NAMES.map((name) => [`${name}'s answer`, METHODS[name].result] as const),
  ...Object.entries(NOTIFICATIONS).map(([name, { params }]) => [name, params] as const),
]
/** A struct without fields is left to decoding. */
const WITHOUT_FIELDS = ["task.unwatch's answer", "secret.set's answer"]

/** Looks at a value and at what becomes of it spoilt; counts where the shape said yes. */
function looker(schema: Schema.Constraint) {
  const fits = shapeOf(schema)
  const strict = Schema.decodeUnknownResult(schema as Decoder, { onExcessProperty: "error", errors: "first" })
  const lax = Schema.decodeUnknownResult(schema as Decoder)
  let yes = 0
  const look = (value: unknown): void => {
    if (!fits(value)) return
    yes += 1
    for (const decoded of [strict(value), lax(value)]) expect(decoded).toEqual(Result.succeed(value))
  }
  return {
    yes: () => yes,
    lookAround: (value: unknown) => {
      look(value)
      let left = 200
      for (const bad of spoilt(value)) if (left-- > 0) look(bad)
    },
  }
}

describe("the shape of every message", () => {
  it.each(ANSWERS)("F1: of %s is what decoding makes of it, however it is spoilt", async (name, schema) => {
    const { lookAround, yes } = looker(schema)
    const checked = await Effect.runPromise(
      Arbitrary.checkEffect(
        Arbitrary.schema(schema),
        (value) =>
          Effect.sync(() => {
            lookAround(JSON.parse(JSON.stringify(value)))
            return true
          }),
        { runs: 8 },
      ),
    )
    expect([checked._tag, yes() > 0]).toEqual(["Passed", !WITHOUT_FIELDS.includes(name)])
  })

  it.each(METHOD_NAMES)("F1: of the parameters of %s too, and sees its examples", (name) => {
    const { lookAround } = looker(METHODS[name].params)
    for (const example of METHODS[name].examples) {
      expect(shapeOf(METHODS[name].params)(example)).toBe(true)
      lookAround(example)
    }
  })

  it("F1: of everything that a submit may say", () => {
    const { lookAround, yes } = looker(METHODS["task.submit"].params)
    const common = {
      lane: "low",
      labels: { a: "b" },
      requires: { labels: { zone: "eu" } },
      retry: { factor: 2 },
      onLost: "fail",
      startAtMs: 5,
      startByMs: 6,
    }
    lookAround({
      ...common,
      runtime: "python",
      files: [{ path: "a.py", content: "1", executable: true }],
      env: { A: "1" },
      secrets: ["B"],
      args: ["x"],
    })
    lookAround({
      ...common,
      image: "debian",
      command: ["true"],
      stdin: "eA==",
      stdinEncoding: "base64",
      limits: { pidsMax: 5 },
      artifacts: true,
    })
    lookAround({ ...common, handler: "h", input: { deep: [1, { x: null }] }, idempotencyKey: "k", watch: true })
    expect(yes()).toBeGreaterThan(10)
  })

  it("F2 F3: is not seen where members of a union overlap, where something is transformed, or in a struct of nothing", () => {
    const overlapping = Schema.Union([
      Schema.Struct({ a: Schema.String }),
      Schema.Struct({ a: Schema.String, b: Schema.String }),
    ])
    expect(shapeOf(overlapping)({ a: "x", b: "y" })).toBe(false)
    expect(shapeOf(Schema.Struct({ n: Schema.NumberFromString }))({ n: "1" })).toBe(false)
    expect(shapeOf(Schema.Struct({}))({})).toBe(false)
    expect(shapeOf(Schema.Record(Schema.String, Schema.Unknown))(JSON.parse('{"__proto__":1}'))).toBe(false)
  })
})
