import { Effect, Exit, Fiber } from "effect"
import { describe, expect, it } from "vitest"
import { berthError } from "../../../core/errors.ts"
import { storeError } from "../../../store/jetstream/failure.ts"
import { asking, insisting, type Question, Wire } from "../../../store/jetstream/wire.ts"
import { manualClock } from "../../support/clock.ts"

const never = (): Promise<never> => new Promise(() => {})
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const once = <A>(wire: Wire, question: () => Promise<A>) => asking(wire, wire.carried(question, storeError("asking")))

describe("the wire to the broker", () => {
  it("WI1 does a question that was under way when it broke end at once, with a typed error?", async () => {
    const wire = new Wire()
    const asked = Effect.runPromise(Effect.flip(once(wire, never)))
    wire.turn(false)
    expect(await asked).toMatchObject({ code: "STORE_UNAVAILABLE", retryable: true })
    expect((await asked).message).toContain("lost before it answered")
  })

  it("WI1 is nobody told who had an answer before it broke, and everybody else once?", async () => {
    const wire = new Wire()
    const told: string[] = []
    wire.onBroken(() => told.push("waits"))
    wire.onBroken(() => told.push("has ended"))()
    expect(await Effect.runPromise(once(wire, () => Promise.resolve(1)))).toBe(1)
    const refused = once(wire, () => Promise.reject(new Error("no")))
    expect((await Effect.runPromise(Effect.flip(refused))).message).toBe("asking: no")
    for (const isUp of [false, true, false]) wire.turn(isUp)
    expect(told).toEqual(["waits"])
  })

  it("WI2 does who asks while it is broken wait until it is mended, and send nothing before?", async () => {
    const wire = new Wire()
    wire.turn(false)
    let sent = 0
    const asked = Effect.runPromise(once(wire, async () => ++sent))
    await turn()
    expect(sent).toBe(0)
    wire.turn(true)
    expect(await asked).toBe(1)
  })

  it("WI2 is who asks while it stays broken told so?", async () => {
    const wire = new Wire()
    wire.turn(false)
    const error = await Effect.runPromise(Effect.flip(once(wire, never)))
    expect([error.code, error.message]).toEqual(["STORE_UNAVAILABLE", "there is no connection to the broker"])
  })
})

/** A wire, a clock in the test's hands, and a question that is answered when the test says so. */
function rig() {
  const wire = new Wire()
  const clock = manualClock()
  const open: Parameters<Question<string>>[0][] = []
  let asked = 0
  const question: Question<string> = (settle) => {
    asked += 1
    open.push(settle)
    const broken = wire.onBroken(() => open.splice(open.indexOf(settle), 1))
    return () => {
      broken()
      if (open.includes(settle)) open.splice(open.indexOf(settle), 1)
    }
  }
  const reading = { clock, what: "reading", wire }
  return { wire, clock, open, question, asked: () => asked, reading }
}

describe("a question that changes nothing", () => {
  it("WI3 is it asked again when nobody answers, the first answer taken, and nothing left behind?", async () => {
    const { asked, clock, open, question, reading } = rig()
    const fiber = Effect.runFork(insisting(reading, question))
    for (const many of [1, 2, 3]) {
      expect(asked()).toBe(many)
      await clock.advance(many < 3 ? 1_000 : 999)
    }
    open[1]?.(Exit.succeed("there"))
    expect(await Effect.runPromise(Fiber.join(fiber))).toBe("there")
    expect(open).toEqual([])
    expect([asked(), clock.armed()]).toEqual([3, 0])
  })

  it("WI3 is it asked again at once when the wire broke meanwhile?", async () => {
    const wire = new Wire()
    let asked = 0
    const question = wire.carried(() => (++asked === 1 ? never() : Promise.resolve("there")), storeError("asking"))
    const fiber = Effect.runFork(insisting({ clock: manualClock(), what: "reading", wire }, question))
    await turn()
    wire.turn(false)
    wire.turn(true)
    expect(await Effect.runPromise(Fiber.join(fiber))).toBe("there")
    expect(asked).toBe(2)
  })

  it("WI3 is an answer that is an error an answer, and is nothing asked for ever?", async () => {
    const { asked, clock, open, question, reading } = rig()
    const refused = Effect.runPromise(Effect.flip(insisting(reading, question)))
    open[0]?.(Exit.fail(berthError("CONFIG_INVALID", "you may not")))
    expect((await refused).code).toBe("CONFIG_INVALID")
    const again = Effect.runPromise(Effect.flip(insisting(reading, question)))
    for (let second = 0; second < 6; second++) await clock.advance(1_000)
    const error = await again
    expect([error.code, error.message]).toEqual(["STORE_UNAVAILABLE", "reading: the broker did not answer"])
    expect([asked(), open.length]).toEqual([1 + 5, 0])
  })

  it("WI3 does each run of the same question count for itself?", async () => {
    const { asked, clock, open, question, reading } = rig()
    const effect = insisting(reading, question)
    const fibers = [Effect.runFork(effect), Effect.runFork(effect)]
    for (let second = 0; second < 4; second++) await clock.advance(1_000)
    expect(asked()).toBe(10)
    for (const settle of [...open]) settle(Exit.succeed("there"))
    expect(await Effect.runPromise(Effect.forEach(fibers, Fiber.join))).toEqual(["there", "there"])
  })

  it("is nothing left behind when its asker goes?", async () => {
    const { asked, clock, open, question, reading } = rig()
    const fiber = Effect.runFork(insisting(reading, question))
    await clock.advance(1_000)
    expect(open).toHaveLength(2)
    await Effect.runPromise(Fiber.interrupt(fiber))
    expect(open).toEqual([])
    expect([asked(), clock.armed()]).toEqual([2, 0])
  })
})
