import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { berthError } from "../../../core/errors.ts"
import { NO_METRICS } from "../../../gateway/server/metrics.ts"
import { settle } from "../../support/clock.ts"
import { fakeSession } from "../../support/fakeLink.ts"

describe("subscriptions", () => {
  it("W1: ten thousand attempts leave as many as are allowed", async () => {
    const { tasks, session, ask } = fakeSession({
      messagesBurst: 1_000_000,
      subscriptionsMax: 100,
      inFlightMax: 1_000_000,
    })
    const task = tasks.add("ann")
    for (let at = 0; at < 100; at++) {
      for (let each = 0; each < 100; each++) {
        session.receive(`{"jsonrpc":"2.0","id":${at * 100 + each},"method":"task.watch","params":{"id":"${task.id}"}}`)
      }
      await settle(1)
    }
    await settle()
    expect(tasks.watching()).toBe(100)
    await ask("more", "task.watch", { id: task.id })
    session.closed()
    await settle()
    expect(tasks.watching()).toBe(0)
  })

  it("W2: the answer comes before the first event", async () => {
    const { tasks, link, ask } = fakeSession()
    const task = tasks.add("ann")
    await ask(1, "task.watch", { id: task.id })
    expect(link.sent.map(({ id, method }) => id ?? method)).toEqual([1, "task.event"])
  })

  it("W3: one that is asked for while its connection closes is never opened", async () => {
    let open = 0
    const { tasks, ask, session } = fakeSession(
      {},
      { metrics: { ...NO_METRICS, subscriptions: (by) => void (open += by) } },
    )
    const task = tasks.add("ann")
    await ask(1, "task.watch", { id: task.id })
    let release = (): void => undefined
    tasks.hold = Effect.promise(() => new Promise<void>((resolve) => (release = resolve)))
    await ask(2, "task.watch", { id: task.id })
    expect(open).toBe(1)
    session.closed()
    release()
    await settle()
    expect([open, tasks.watching()]).toEqual([0, 0])
  })

  it("W3: a watch that fails says why", async () => {
    const { tasks, link, ask } = fakeSession()
    const task = tasks.add("ann")
    const gone = berthError("STORE_UNAVAILABLE", "no answer")
    let calls = 0
    tasks.hold = Effect.suspend(() => (++calls === 1 ? Effect.void : Effect.fail(gone)))
    await ask(1, "task.watch", { id: task.id })
    expect(link.sent).toMatchObject([
      { id: 1, result: { subscription: "s1" } },
      {
        method: "subscription.ended",
        params: { subscription: "s1", error: { data: { code: "STORE_UNAVAILABLE", retryable: true } } },
      },
    ])
  })
})
