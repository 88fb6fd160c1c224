import { Effect, Fiber } from "effect"
import { describe, expect, it } from "vitest"
import { berthError } from "../../../core/errors.ts"
import { storeError } from "../../../store/jetstream/failure.ts"
import { insisting, Wire } from "../../../store/jetstream/wire.ts"

const never = (): Promise<never> => new Promise(() => {})
const asking = <A>(wire: Wire, question: () => Promise<A>) =>
  Effect.andThen(wire.up, Effect.tryPromise({ try: () => wire.carry(question), catch: storeError("asking") }))

describe("the wire to the broker", () => {
  it("WI1 does a question that was under way when it broke end at once, with a typed error?", async () => {
    const wire = new Wire()
    const asked = Effect.runPromise(Effect.flip(asking(wire, never)))
    wire.turn(false)
    expect(await asked).toMatchObject({ code: "STORE_UNAVAILABLE", retryable: true })
    expect((await asked).message).toContain("lost before it answered")
  })

  it("WI1 is nobody told who had an answer before it broke, and everybody else once?", async () => {
    const wire = new Wire()
    const told: string[] = []
    wire.onBroken(() => told.push("waits"))
    wire.onBroken(() => told.push("has ended"))()
    expect(await wire.carry(() => Promise.resolve(1))).toBe(1)
    await expect(wire.carry(() => Promise.reject(new Error("no")))).rejects.toThrow("no")
    for (const isUp of [false, true, false]) wire.turn(isUp)
    expect(told).toEqual(["waits"])
  })

  it("WI2 does who asks while it is broken wait until it is mended, and send nothing before?", async () => {
    const wire = new Wire()
    wire.turn(false)
    let sent = 0
    const asked = Effect.runPromise(asking(wire, async () => ++sent))
    await new Promise((resolve) => setImmediate(resolve))
    expect(sent).toBe(0)
    wire.turn(true)
    expect(await asked).toBe(1)
  })

  it("WI2 is who asks while it stays broken told so?", async () => {
    const wire = new Wire()
    wire.turn(false)
    const error = await Effect.runPromise(Effect.flip(asking(wire, never)))
    expect([error.code, error.message]).toEqual(["STORE_UNAVAILABLE", "there is no connection to the broker"])
  })

  it("WI3 is a question that changes nothing asked again when nobody answers, and the first answer taken?", async () => {
    let asked = 0
    const question = Effect.promise(() => (++asked < 3 ? never() : Promise.resolve("there")))
    expect(await Effect.runPromise(insisting("reading", question))).toBe("there")
    expect(asked).toBe(3)
  })

  it("WI3 is it asked again at once when the wire broke meanwhile?", async () => {
    const wire = new Wire()
    let asked = 0
    const question = asking(wire, () => (++asked === 1 ? never() : Promise.resolve("there")))
    const fiber = Effect.runFork(insisting("reading", question))
    await new Promise((resolve) => setImmediate(resolve))
    wire.turn(false)
    wire.turn(true)
    expect(await Effect.runPromise(Fiber.join(fiber))).toBe("there")
    expect(asked).toBe(2)
  })

  it("WI3 is an answer that is an error an answer, and is nothing asked for ever?", async () => {
    const refused = Effect.fail(berthError("CONFIG_INVALID", "you may not"))
    expect((await Effect.runPromise(Effect.flip(insisting("reading", refused)))).code).toBe("CONFIG_INVALID")
    let asked = 0
    const silent = Effect.suspend(() => {
      asked += 1
      return Effect.never
    })
    const error = await Effect.runPromise(Effect.flip(insisting("reading", silent)))
    expect([error.code, error.message, asked]).toEqual(["STORE_UNAVAILABLE", "reading: the broker did not answer", 5])
  })
})
