/** Is it asked once whether an image has a shell, by nobody in another's way, and is only an answer taken for one? */
import { Effect, Fiber } from "effect"
import { afterEach, describe, expect, it } from "vitest"
import { makeContext } from "../../../../actors/executor/docker/context.ts"
import type { DockerOptions } from "../../../../actors/executor/docker/options.ts"
import type { BerthError } from "../../../../core/errors.ts"
import { manualClock } from "../../../support/clock.ts"
import { type FakeEngine, openFakeEngine } from "../../../support/fakeEngine.ts"
import { until } from "../../../support/until.ts"

const engines: FakeEngine[] = []
afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.close()
})

const IMAGE = { id: `sha256:${"a".repeat(64)}`, digest: "", volumes: [], env: [], shellKnown: false }
const nameFor = (worker: string, imageId = IMAGE.id): string => `berth-probe-c-${worker}-${imageId.slice(7, 31)}`
const NAME = nameFor("w")

const shellsOf = (options: Partial<DockerOptions>) => makeContext(options as DockerOptions).shells

const scene = async () => {
  const engine = await openFakeEngine()
  engines.push(engine)
  const clock = manualClock()
  const failures: BerthError[] = []
  const guard: DockerOptions["guard"] = (_call, run) =>
    Effect.tapError(run, (error) => Effect.sync(() => failures.push(error)))
  const shells = shellsOf({ engine: engine.host, guard, clock })
  const ask = (worker = "w", image = IMAGE) =>
    Effect.runFork(shells.hasShell(image, { cluster: "c", worker, runtime: "runc", apparmor: false }))
  const waited = (name = NAME) => until(() => engine.asked.at(-1) === `wait ${name}`, `a wait for ${name}`)
  const count = (verb: string) => engine.asked.filter((one) => one.startsWith(`${verb} `)).length
  return { ask, clock, count, engine, failures, shells, waited }
}
const answerTo = <A, E>(fiber: Fiber.Fiber<A, E>) => Effect.runPromise(Fiber.join(fiber))
const failureTo = <A>(fiber: Fiber.Fiber<A, BerthError>) => Effect.runPromise(Effect.flip(Fiber.join(fiber)))

describe("SH1: one probe for all", () => {
  it.each([
    [0, true],
    [127, false],
  ])("who asks at once shares it, and exit code %i is remembered as %s", async (exitCode, answer) => {
    const { ask, count, engine, waited } = await scene()
    const asking = [ask(), ask(), ask(), ask()]
    await waited()
    engine.end(NAME, exitCode)
    expect(await Promise.all(asking.map(answerTo))).toEqual(asking.map(() => answer))
    expect(await answerTo(ask())).toBe(answer)
    expect([count("create"), engine.names()]).toEqual([1, []])
  })

  it("who leaves takes it from nobody, and it cleans up without them", async () => {
    const { ask, count, engine, shells, waited } = await scene()
    const [ann, bob] = [ask(), ask()]
    await waited()
    for (const one of [ann, bob]) await Effect.runPromise(Fiber.interrupt(one))
    const cid = ask()
    engine.end(NAME, 0)
    expect(await answerTo(cid)).toBe(true)
    await until(() => !shells.isUnderWay(NAME), "the end of the probe")
    expect([count("create"), engine.names()]).toEqual([1, []])
  })

  it("an engine that says that there is no such program has answered", async () => {
    const { ask, count, engine } = await scene()
    engine.setStart(400)
    expect([await answerTo(ask()), await answerTo(ask()), count("create")]).toEqual([false, false, 1])
  })
})

describe("SH2: a container that vanished", () => {
  it("while it ran has said nothing: the next one asks again", async () => {
    const { ask, engine, waited } = await scene()
    const asking = [ask(), ask()]
    await waited()
    engine.vanish(NAME)
    for (const one of asking) expect((await failureTo(one)).code).toBe("BACKEND_UNAVAILABLE")
    const again = ask()
    await waited()
    engine.end(NAME, 0)
    expect(await answerTo(again)).toBe(true)
  })

  it.each([404, 409])("before it started (%i) has said nothing either", async (status) => {
    const { ask, engine, waited } = await scene()
    engine.setStart(status)
    const asking = ask()
    await waited()
    engine.vanish(NAME)
    expect((await failureTo(asking)).code).toBe("BACKEND_UNAVAILABLE")
  })
})

describe("SH3: a shell that does not answer", () => {
  it("in its time says nothing at first, and is none the second time, which the layers around the engine never hear of", async () => {
    const { ask, clock, engine, failures, waited } = await scene()
    const slow = [ask(), ask()]
    await waited()
    await clock.advance(29_999)
    for (const one of slow) expect(one.pollUnsafe()).toBeUndefined()
    await clock.advance(1)
    for (const one of slow) expect((await failureTo(one)).code).toBe("BACKEND_UNAVAILABLE")
    const again = ask()
    await waited()
    await clock.advance(30_000)
    expect(await answerTo(again)).toBe(false)
    expect([failures, engine.names()]).toEqual([[], []])
    const third = ask()
    await waited()
    engine.end(NAME, 0)
    expect(await answerTo(third)).toBe(true)
  })

  it("because it was killed says nothing at first, and is none, for once, the second time", async () => {
    const { ask, engine, waited } = await scene()
    const askedUntil = async (exitCode: number) => {
      const asking = ask()
      await waited()
      engine.end(NAME, exitCode)
      return asking
    }
    const error = await failureTo(await askedUntil(137))
    expect([error.code, error.retryable]).toEqual(["BACKEND_UNAVAILABLE", true])
    expect(await answerTo(await askedUntil(137))).toBe(false)
    expect(await answerTo(await askedUntil(0))).toBe(true)
  })

  it("is counted for each image by itself", async () => {
    const { ask, engine, waited } = await scene()
    const other = { ...IMAGE, id: `sha256:${"b".repeat(64)}` }
    for (const image of [IMAGE, other]) {
      const name = nameFor("w", image.id)
      const asking = ask("w", image)
      await waited(name)
      engine.end(name, 137)
      expect((await failureTo(asking)).code).toBe("BACKEND_UNAVAILABLE")
    }
  })
})

describe("SH4: whose probe it is", () => {
  it("two workers ask one engine at once, and neither is in the other's way", async () => {
    const { ask, engine, shells, waited } = await scene()
    const other = shellsOf({ engine: engine.host, guard: (_call, run) => run, clock: manualClock() })
    const mine = ask()
    await waited()
    const input = { cluster: "c", worker: "v", runtime: "runc", apparmor: false }
    const theirs = Effect.runFork(other.hasShell(IMAGE, input))
    await waited(nameFor("v"))
    expect([shells.isUnderWay(NAME), shells.isUnderWay(nameFor("v"))]).toEqual([true, false])
    engine.end(NAME, 0)
    engine.end(nameFor("v"), 0)
    expect([await answerTo(mine), await answerTo(theirs)]).toEqual([true, true])
    expect(engine.names()).toEqual([])
  })
})
