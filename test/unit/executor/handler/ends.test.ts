import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { handlerExecutor } from "../../../../actors/executor/handler/index.ts"
import { LIMITS } from "../../../../core/limits.ts"
import { manualClock } from "../../../support/clock.ts"
import { jobOf } from "../../../support/executorJob.ts"
import { handlerProgram, handlerScene, refusal } from "../../../support/handlerScene.ts"

describe("what does a handler's end become", () => {
  it("a returned value completes the task with it", async () => {
    const { start, sink } = await handlerScene({ double: (input) => ({ twice: (input as { n: number }).n * 2 }) })
    expect(await start()).toMatchObject({
      status: "completed",
      reason: "handler_returned",
      value: { twice: 40 },
      exitCode: null,
    })
    expect(sink.begins()).toBe(1)
  })

  it("a promised value does too, and nothing returned is null", async () => {
    const { start } = await handlerScene({ later: async () => undefined })
    expect(await start()).toMatchObject({ status: "completed", value: null })
  })

  it("a throw, at once or later, fails it with a bounded message", async () => {
    const thrower = (error: unknown) => () => {
      throw error
    }
    expect(await (await handlerScene({ f: thrower(new TypeError("no such row")) })).start()).toMatchObject({
      status: "failed",
      reason: "handler_error",
      message: "TypeError: no such row",
    })
    const long = await (await handlerScene({ f: async () => Promise.reject(new Error("ü".repeat(5_000))) })).start()
    expect(Buffer.byteLength(long.message ?? "")).toBeLessThanOrEqual(LIMITS.messageBytesMax)
    expect(long.message).not.toContain("�")
    const hostile = { toString: () => thrower(new Error("twice"))() }
    expect((await (await handlerScene({ f: thrower(hostile) })).start()).status).toBe("failed")
  })

  it.each([
    ["too large", "x".repeat(LIMITS.resultValueBytesMax), "limit"],
    ["not finite", { deep: [Number.NaN] }, "finite"],
    ["a big integer", 12n, "JSON"],
    [
      "circular",
      (() => {
        const loop: Record<string, unknown> = {}
        loop["self"] = loop
        return loop
      })(),
      "JSON",
    ],
    ["too deep", JSON.parse("[".repeat(40) + "]".repeat(40)), "nested"],
    ["a forbidden key", JSON.parse('{"a":{"__proto__":1}}'), "__proto__"],
  ])("a value that is %s is refused as the handler's failure", async (_name, value, part) => {
    const exit = await (await handlerScene({ f: () => value })).start()
    expect(exit).toMatchObject({ status: "failed", reason: "handler_error", value: null })
    expect(exit.message).toContain(part)
  })

  it("a value of exactly the limit is kept", async () => {
    const value = "x".repeat(LIMITS.resultValueBytesMax - 2)
    expect(await (await handlerScene({ f: () => value })).start()).toMatchObject({ status: "completed", value })
  })

  it("a name that is not registered is refused for good, inherited names included", async () => {
    const executor = handlerExecutor({ handlers: {}, clock: manualClock() })
    for (const name of ["absent", "constructor", "__proto__"]) {
      const error = await refusal(Effect.runPromise(executor.create(jobOf(handlerProgram(name)))))
      expect([error.code, error.retryable]).toEqual(["HANDLER_UNKNOWN", false])
    }
  })
})
