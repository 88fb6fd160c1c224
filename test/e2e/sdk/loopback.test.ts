import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { BerthClient } from "../../../gateway/client/client.ts"
import { loopbackTransport } from "../../../gateway/client/loopbackTransport.ts"
import { memorySecrets } from "../../support/secrets.ts"
import { SILENT } from "../../support/silent.ts"
import { makeLoopback } from "../../../gateway/server/loopback.ts"
import { makeRouter } from "../../../gateway/server/router.ts"
import { liveClock } from "../../support/clock.ts"
import { fakeProgram } from "../../support/fakeProgram.ts"
import { type FakeTasks, fakeTasks } from "../../support/fakeTasks.ts"

let tasks: FakeTasks
let client: BerthClient

beforeEach(async () => {
  tasks = fakeTasks()
  const common = { tasks: tasks.service, clock: liveClock, logger: SILENT }
  const router = makeRouter({ ...common, secrets: memorySecrets(), version: "0.0.0" })
  const loopback = makeLoopback({ ...common, router, principal: { owner: "ann", role: "user", laneMax: "urgent" } })
  const transport = loopbackTransport(loopback)
  client = await BerthClient.open({ urls: ["ws://embedded"], token: "none", transport, paced: false })
})
afterEach(() => client.close())

const REQUEST = { runtime: "python", code: "print(1)" } as const

describe("is the client of an embedding program the same client?", () => {
  it("runs, streams and answers", async () => {
    const outcome = await client.run(REQUEST, {
      onSubmitted: (handle) => {
        const program = fakeProgram(tasks, handle.known as never)
        program.start()
        program.print("stdout", "héllo\n")
        program.end()
      },
    })
    expect(outcome).toMatchObject({ ok: true, stdout: "héllo\n" })
  })

  it("the same checks stand before the same errors", async () => {
    await expect(client.submit({ ...REQUEST, timeoutMs: -1 })).rejects.toMatchObject({ path: "params.timeoutMs" })
    await expect(client.get("nobody")).rejects.toMatchObject({ code: "NOT_FOUND" })
    await expect(client.artifact("nobody", "x")).rejects.toMatchObject({ code: "NOT_FOUND" })
    await expect(client.refreshToken("t")).rejects.toMatchObject({ code: "WRONG_STATE" })
    expect(tasks.submitted).toEqual([])
  })

  it("hands over an artifact", async () => {
    const { id } = await client.submit(REQUEST)
    tasks.artifacts.set(`${id} out.bin`, Uint8Array.of(1, 2, 3))
    expect([...(await client.artifact(id, "out.bin"))]).toEqual([1, 2, 3])
    await expect(client.artifact(id, "out.bin", { signal: AbortSignal.abort(new Error("no")) })).rejects.toThrow("no")
  })

  it("keeps no pace: a thousand at once", async () => {
    const handles = await Promise.all(Array.from({ length: 1_000 }, () => client.submit(REQUEST)))
    const results = Promise.all(handles.map((handle) => handle.result()))
    for (const handle of handles) {
      const program = fakeProgram(tasks, handle.known as never)
      program.start()
      program.end()
    }
    expect((await results).every((outcome) => outcome.ok)).toBe(true)
  })

  it("ends everything when it is closed", async () => {
    const handle = await client.submit(REQUEST)
    const watching = handle.events().next()
    const result = handle.result()
    await client.close()
    await client.close()
    await watching.then(
      () => {},
      () => {},
    )
    await expect(result).rejects.toMatchObject({ code: "SHUTTING_DOWN" })
    await expect(client.get(handle.id)).rejects.toMatchObject({ code: "SHUTTING_DOWN" })
    expect(tasks.watching()).toBe(0)
  })
})
