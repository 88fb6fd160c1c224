import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { settle } from "../../../support/clock.ts"
import { recordingSink } from "../../../support/executorJob.ts"
import { handlerScene } from "../../../support/handlerScene.ts"

describe("what does a handler's talk become", () => {
  it("lines and progress reach the sink in order before the end is told", async () => {
    const { start, sink } = await handlerScene({
      f: async (_input, { log, progress, taskId, attempt, epoch }) => {
        log("first")
        progress({ done: 1 })
        await settle(1)
        log(`${taskId} ${attempt} ${epoch}`)
        progress({ done: 2 })
      },
    })
    await start()
    expect(sink.text("stdout")).toBe("first\nt1 1 1\n")
    expect(sink.progresses).toEqual([{ done: 1 }, { done: 2 }])
  })

  it("what a blocked sink cannot take is counted as a gap, and the stream goes on after it", async () => {
    let open = (): void => undefined
    const gate = new Promise<void>((resolve) => {
      open = resolve
    })
    const line = "x".repeat(1_023)
    const { start, sink } = await handlerScene(
      {
        f: async (_input, { log }) => {
          log("begin")
          await settle()
          for (let count = 0; count < 1_500; count++) log(line)
          open()
          await settle(200)
          log("end")
        },
      },
      {},
      recordingSink({ beforeWrite: Effect.promise(() => gate) }),
    )
    await start()
    expect(sink.losses).toEqual([{ stream: "stdout", offset: 6 + 1_024 * 1_024, bytes: (1_500 - 1_024) * 1_024 }])
    expect(sink.text("stdout").startsWith("begin\n")).toBe(true)
    expect(sink.text("stdout").endsWith("\nend\n")).toBe(true)
  })

  it("one line larger than a chunk is cut into chunks, exact", async () => {
    const line = "é".repeat(100_000)
    const { start, sink } = await handlerScene({ f: (_input, { log }) => log(line) })
    await start()
    expect(sink.text("stdout")).toBe(`${line}\n`)
  })

  it("progress that is too large throws in the handler, where it can be seen", async () => {
    const { start, sink } = await handlerScene({ f: (_input, { progress }) => progress("x".repeat(70_000)) })
    expect(await start()).toMatchObject({ status: "failed", reason: "handler_error" })
    expect(sink.progresses).toEqual([])
  })
})
