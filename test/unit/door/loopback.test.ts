import { describe, expect, it } from "vitest"
import { makeLoopback } from "../../../gateway/server/loopback.ts"
import { makeRouter } from "../../../gateway/server/router.ts"
import type { Message } from "../../support/door.ts"
import { manualClock, settle } from "../../support/clock.ts"
import { fakeTasks } from "../../support/fakeTasks.ts"
import { memorySecrets } from "../../support/secrets.ts"
import { SILENT } from "../../support/silent.ts"

const open = () => {
  const clock = manualClock()
  const tasks = fakeTasks(clock.nowMs)
  const router = makeRouter({ tasks: tasks.service, secrets: memorySecrets(), logger: SILENT, version: "0.0.0" })
  const loopback = makeLoopback({
    router,
    tasks: tasks.service,
    clock,
    logger: SILENT,
    principal: { owner: "ann", role: "user", laneMax: "urgent" },
  })
  const got: Message[] = []
  const closes: number[] = []
  const session = loopback.connect(
    (text) => got.push(JSON.parse(text)),
    (code) => closes.push(code),
  )
  const ask = (id: number, method: string, params: unknown) =>
    session.receive(JSON.stringify({ jsonrpc: "2.0", id, method, params }))
  return { tasks, clock, loopback, session, got, closes, ask }
}

describe("a client in the same process", () => {
  it("has the checks of every other", async () => {
    const { tasks, got, ask, session } = open()
    ask(1, "task.submit", { runtime: "python", code: "1", owner: "bob" })
    session.receive('{"jsonrpc":"2.0","id":2,"method":"task.submit","params":{"handler":"h","input":1e400}}')
    await settle()
    const told = new Map(got.map(({ id, error }) => [id, `${error.data.code} ${error.data.path}`]))
    expect(told).toEqual(
      new Map([
        [1, "INVALID_PARAMS params.owner"],
        [2, "INVALID_PARAMS params.input"],
      ]),
    )
    expect(tasks.submitted).toEqual([])
  })

  it("needs no token, keeps its own pace, and never expires", async () => {
    const { tasks, clock, got, closes, ask } = open()
    for (let at = 0; at < 2_000; at++) ask(at, "task.submit", { runtime: "python", code: "1" })
    await settle()
    expect(tasks.submitted).toHaveLength(2_000)
    expect(got.every(({ result }) => result !== undefined)).toBe(true)
    await clock.advance(30 * 24 * 3_600_000)
    ask(9_999, "auth.refresh", { token: "t" })
    await settle()
    expect(got.at(-1).error.data.code).toBe("WRONG_STATE")
    expect(closes).toEqual([])
  })

  it("watches until it closes, and holds nothing after", async () => {
    const { tasks, clock, got, ask, session } = open()
    const task = tasks.add("ann")
    ask(1, "task.watch", { id: task.id })
    await settle()
    expect(got.map(({ method }) => method)).toEqual([undefined, "task.event"])
    session.close()
    await settle()
    tasks.emit(task.id, { type: "end", status: "completed" })
    ask(2, "task.get", { id: task.id })
    await settle()
    expect([tasks.watching(), got.length, clock.armed()]).toEqual([0, 2, 0])
  })

  it("gets artifacts, by addresses that are checked", async () => {
    const { tasks, loopback } = open()
    const task = tasks.add("ann")
    tasks.artifacts.set(`${task.id} a`, new Uint8Array([1, 2]))
    expect(await loopback.artifact(task.id, "a")).toEqual(new Uint8Array([1, 2]))
    await expect(loopback.artifact(task.id, "../a")).rejects.toMatchObject({ code: "INVALID_PARAMS" })
    await expect(loopback.artifact("nobodys", "a")).rejects.toMatchObject({ code: "NOT_FOUND" })
  })
})
