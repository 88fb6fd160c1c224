/** Does an image come once for all who wait for it, with news, with an end, and only for as long as somebody waits? */
import { Effect, Fiber } from "effect"
import { afterEach, describe, expect, it } from "vitest"
import { connectEngine } from "../../../../actors/executor/docker/client.ts"
import { makePull } from "../../../../actors/executor/docker/pull.ts"
import type { DockerOptions } from "../../../../actors/executor/docker/options.ts"
import { manualClock } from "../../../support/clock.ts"
import { type FakeRegistry, openFakeRegistry } from "../../../support/fakeRegistry.ts"
import { until } from "../../../support/until.ts"

const registries: FakeRegistry[] = []
afterEach(async () => {
  for (const registry of registries.splice(0)) await registry.close()
})

const scene = async (more: Partial<DockerOptions> = {}) => {
  const registry = await openFakeRegistry()
  registries.push(registry)
  const clock = manualClock()
  const options = { engine: registry.host, pullGuard: (_call, run) => run, clock, ...more } as DockerOptions
  const pull = makePull(connectEngine(registry.host), options)
  const news: (readonly [who: string, progress: unknown])[] = []
  const ask = (image: string, who = image) => Effect.runFork(pull(image, (progress) => void news.push([who, progress])))
  const asked = async (count: number) => {
    await until(() => registry.pulls.length === count, `${count} pulls`)
    return registry.pulls[count - 1]!
  }
  return { registry, clock, ask, asked, news }
}
const endOf = <A, E>(fiber: Fiber.Fiber<A, E>) => Effect.runPromise(Effect.flip(Fiber.join(fiber)))

describe("PU1: the width of pulls", () => {
  it("two who want one image share a pull; a third image waits for its turn", async () => {
    const { ask, asked, registry } = await scene({ pullsAtOnce: 2 })
    const waiters = [ask("a:1", "ann"), ask("a:1", "bob"), ask("b:1"), ask("c:1")]
    const second = await asked(2)
    expect(registry.pulls.map(({ image }) => image)).toEqual(["a:1", "b:1"])
    second.end()
    expect((await asked(3)).image).toBe("c:1")
    for (const one of registry.pulls) one.end()
    for (const waiter of waiters) await Effect.runPromise(Fiber.join(waiter))
    expect(registry.pulls).toHaveLength(3)
  })
})

describe("PU2: a pull that nobody waits for", () => {
  it("is given up when the last one leaves, and not before; the next one begins anew", async () => {
    const { ask, asked } = await scene()
    const [ann, bob] = [ask("a:1"), ask("a:1")]
    const pull = await asked(1)
    await Effect.runPromise(Fiber.interrupt(ann))
    expect(pull.isLeft()).toBe(false)
    await Effect.runPromise(Fiber.interrupt(bob))
    await until(() => pull.isLeft(), "the pull to be left")
    const again = ask("a:1")
    ;(await asked(2)).end()
    await Effect.runPromise(Fiber.join(again))
  })

  it("is given up also while the engine has not even answered", async () => {
    const { ask, asked, registry } = await scene()
    registry.setAnswering(false)
    const ann = ask("a:1")
    const pull = await asked(1)
    await Effect.runPromise(Fiber.interrupt(ann))
    await until(() => pull.isLeft(), "the pull to be left")
  })
})

describe("PU3: whose fault it is", () => {
  it("what the registry says is IMAGE_NOT_FOUND, in its words", async () => {
    const { ask, asked } = await scene()
    const ann = ask("a:1")
    const pull = await asked(1)
    pull.say({ status: "Pulling from a", id: "1" })
    pull.say({ error: "manifest unknown" })
    pull.end()
    expect(await endOf(ann)).toMatchObject({
      code: "IMAGE_NOT_FOUND",
      message: expect.stringContaining("manifest unknown") as string,
    })
  })

  it("a pull over its time is the image's fault where the engine answers, the engine's where it does not; both are left", async () => {
    for (const isThere of [true, false]) {
      const { ask, asked, clock, registry } = await scene({ pullMsMax: 60_000 })
      registry.setPinging(isThere)
      const ended = endOf(ask("a:1"))
      const pull = await asked(1)
      await clock.advance(59_999)
      expect(pull.isLeft()).toBe(false)
      await clock.advance(1)
      if (!isThere) await clock.advance(5_000)
      expect((await ended).code).toBe(isThere ? "IMAGE_NOT_FOUND" : "BACKEND_UNAVAILABLE")
      await until(() => pull.isLeft(), "the pull to be left")
    }
  })

  it("an engine that dies in the middle is BACKEND_UNAVAILABLE, and what it says before that is no reason to crash", async () => {
    const { ask, asked, news } = await scene()
    const ended = endOf(ask("a:1"))
    const pull = await asked(1)
    for (const strange of [[], "null", null, 7, { id: 1 }]) pull.say(strange as object)
    await until(() => news.length > 0, "news")
    pull.breakOff()
    expect((await ended).code).toBe("BACKEND_UNAVAILABLE")
  })

  it("an engine that is not there is BACKEND_UNAVAILABLE", async () => {
    const { ask, registry } = await scene()
    await registry.close()
    registries.length = 0
    expect((await endOf(ask("a:1"))).code).toBe("BACKEND_UNAVAILABLE")
  })
})

describe("PU4: news", () => {
  it("are the sum over all layers, for everybody who waits, at most once in two seconds", async () => {
    const { ask, asked, clock, news } = await scene()
    ask("a:1", "ann")
    const bob = ask("a:1", "bob")
    const pull = await asked(1)
    const downloading = (id: string, current: number, total: number) => ({
      id,
      status: "Downloading",
      progressDetail: { current, total },
    })
    pull.say({ id: "1", status: "Pulling fs layer", progressDetail: {} })
    await until(() => news.length === 2, "first news")
    pull.say(downloading("1", 10, 100))
    pull.say(downloading("2", 5, 50))
    pull.say(downloading("1", 90, 100))
    pull.say({ id: "1", status: "Download complete", progressDetail: {} })
    // Another image's news would come later: what was said above has been heard by then.
    const other = ask("b:1", "cid")
    ;(await asked(2)).say({ status: "Pulling from b" })
    await until(() => news.length === 3, "news of the other")
    await clock.advance(2_000)
    pull.say({ id: "1", status: "Extracting", progressDetail: { current: 1, total: 100 } })
    await until(() => news.length === 5, "second news")
    const sum = (doneBytes: number, totalBytes: number) => ({ pull: { image: "a:1", doneBytes, totalBytes } })
    expect(news.filter(([who]) => who !== "cid")).toEqual([
      ["ann", sum(0, 0)],
      ["bob", sum(0, 0)],
      ["ann", sum(105, 150)],
      ["bob", sum(105, 150)],
    ])
    pull.end()
    await Effect.runPromise(Fiber.join(bob))
    await Effect.runPromise(Fiber.interrupt(other))
  })
})
