/** Does a submit that watches do what a submit and a watch would have done? */
import { describe, expect, it } from "vitest"
import { settle } from "../../support/clock.ts"
import { fakeProgram } from "../../support/fakeProgram.ts"
import { fakeSession } from "../../support/fakeLink.ts"

const REQUEST = { runtime: "python", code: "1", idempotencyKey: "k" }
const kinds = (
  sent: readonly {
    readonly id?: unknown
    readonly method?: string
    readonly params?: { readonly event: { readonly type: string } }
  }[],
) => sent.map(({ id, method, params }) => id ?? (method === "task.event" ? params?.event.type : method))

describe("a submit with `watch`", () => {
  it("W2: is answered first, with the name of a watch that goes on after the answer, to its end", async () => {
    const { answer, ask, link, tasks } = fakeSession()
    await ask(1, "task.submit", { ...REQUEST, watch: true })
    const { result } = answer(1)
    expect(result).toMatchObject({ subscription: "s1", duplicate: false })
    expect(result.task.seq).toBe(result.seq)
    const program = fakeProgram(tasks, result.task)
    program.start()
    program.end()
    await settle()
    expect(kinds(link.sent)).toEqual([1, "state", "state", "end", "subscription.ended"])
    expect(link.sent[1]?.params).toMatchObject({ subscription: "s1", event: { facts: ["started"] } })
    expect(tasks.watching()).toBe(0)
  })

  it("is the same request as one without, and of a duplicate everything is told", async () => {
    const { answer, ask, link, tasks } = fakeSession()
    await ask(1, "task.submit", REQUEST)
    await ask(2, "task.submit", { ...REQUEST, watch: true })
    await settle()
    expect(tasks.submitted).toEqual([REQUEST])
    expect(answer(2).result).toMatchObject({ task: answer(1).result.task, duplicate: true, subscription: "s1" })
    expect(kinds(link.sent)).toEqual([1, 2, "state"])
    await ask(3, "task.unwatch", { subscription: "s1" })
    expect([answer(3).result, tasks.watching()]).toEqual([{}, 0])
    await ask(4, "task.submit", { ...REQUEST, watch: false })
    expect([Object.keys(answer(4).result), tasks.watching()]).toEqual([["task", "duplicate", "seq"], 0])
  })

  it("W1: is accepted where there is no room for one more watch, and names none", async () => {
    const { answer, ask, tasks } = fakeSession({ subscriptionsMax: 1 })
    await ask(1, "task.submit", { ...REQUEST, watch: true })
    await ask(2, "task.submit", { ...REQUEST, idempotencyKey: "k2", watch: true })
    expect(answer(2).result.task.id).not.toBe(answer(1).result.task.id)
    expect(Object.keys(answer(2).result)).toEqual(["task", "duplicate", "seq"])
    expect([tasks.submitted.length, tasks.watching()]).toEqual([2, 1])
  })

  it("that is refused opens nothing", async () => {
    const { answer, ask, tasks } = fakeSession()
    await ask(1, "task.submit", { ...REQUEST, runtime: "klingon", watch: true })
    await ask(2, "task.submit", { ...REQUEST, watch: 1 })
    expect(answer(1).error).toMatchObject({ data: { code: "RUNTIME_UNKNOWN" } })
    expect(answer(2).error).toMatchObject({ data: { code: "INVALID_PARAMS", path: "params.watch" } })
    expect(tasks.watching()).toBe(0)
  })
})
