import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { berthError } from "../../../core/errors.ts"
import type { Logger } from "../../../core/telemetry.ts"
import { NO_METRICS } from "../../../gateway/server/metrics.ts"
import { settle } from "../../support/clock.ts"
import { fakeSession } from "../../support/fakeLink.ts"
import { SILENT } from "../../support/silent.ts"

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

  it("W3: of a watch with a defect only the log is told which", async () => {
    const logged: object[] = []
    const error: Logger["error"] = (fields) => void logged.push(fields)
    const { tasks, link, ask } = fakeSession({}, { logger: { ...SILENT, error } })
    const defect = new Error("the secret of the house")
    let calls = 0
    tasks.hold = Effect.suspend(() => (++calls === 1 ? Effect.void : Effect.die(defect)))
    await ask(1, "task.watch", { id: tasks.add("ann").id })
    const { method, params } = link.sent.at(-1)
    expect([method, params.error.data.code]).toEqual(["subscription.ended", "INTERNAL"])
    expect(JSON.stringify(link.sent)).not.toContain("house")
    expect(logged).toEqual([{ owner: "ann", err: defect }])
  })
})
