import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { decodeResult } from "../../../gateway/protocol/decode.ts"
import { METHOD_NAMES } from "../../../gateway/protocol/methods.ts"
import { connectRaw, type Door, openDoor, type RawClient } from "../../support/door.ts"
import { Result } from "effect"

let door: Door
let ann: RawClient
let bob: RawClient

beforeAll(async () => {
  door = await openDoor()
  ann = await connectRaw(door, await door.token("ann"))
  bob = await connectRaw(door, await door.token("bob"))
})
afterAll(async () => {
  ann.close()
  bob.close()
  await door.close()
})

describe("a task's life over a socket", () => {
  it("submits, gets and lists it, each answer as its schema says", async () => {
    const submitted = await ann.call("task.submit", { runtime: "python", code: "print(1)", labels: { team: "a" } })
    expect(Result.isSuccess(decodeResult("task.submit", submitted.result))).toBe(true)
    const { task, duplicate, seq } = submitted.result
    expect({ duplicate, labels: task.labels, seq }).toEqual({ duplicate: false, labels: { team: "a" }, seq: task.seq })
    const got = await ann.call("task.get", { id: task.id, minSeq: seq })
    expect(got.result.task).toEqual(task)
    const listed = await ann.call("task.list", { statuses: ["pending"] })
    expect(listed.result.tasks.map(({ id }: { id: string }) => id)).toContain(task.id)
  })

  it("watches it from any sequence: each event once, in order, until its end", async () => {
    const { task } = (await ann.call("task.submit", { runtime: "python", code: "print(1)" })).result
    const attempt = { attempt: 1, epoch: 1 }
    door.tasks.emit(task.id, {
      type: "output",
      ...attempt,
      stream: "stdout",
      offset: 0,
      bytes: new TextEncoder().encode("hé"),
    })
    const first = await ann.call("task.watch", { id: task.id })
    const { subscription } = first.result
    door.tasks.emit(task.id, {
      type: "output",
      ...attempt,
      stream: "stdout",
      offset: 3,
      bytes: new Uint8Array([0xff, 0]),
    })
    door.tasks.emit(task.id, { type: "end", status: "completed" })
    const events = [await ann.next(), await ann.next(), await ann.next(), await ann.next()].map(
      ({ method, params }) => {
        expect({ method, subscription: params.subscription }).toEqual({ method: "task.event", subscription })
        return params.event
      },
    )
    expect(events.map(({ type, data, encoding }) => [type, data, encoding])).toEqual([
      ["state", undefined, undefined],
      ["output", "hé", "utf8"],
      ["output", "/wA=", "base64"],
      ["end", undefined, undefined],
    ])
    expect(await ann.next()).toMatchObject({ method: "subscription.ended", params: { subscription, error: null } })
    const resumed = await ann.call("task.watch", { id: task.id, fromSeq: events[1].seq })
    expect(resumed.result.subscription).not.toBe(subscription)
    expect((await ann.next()).params.event).toEqual(events[2])
    expect((await ann.next()).params.event).toEqual(events[3])
    await ann.next()
  })

  it("sends nothing of a watch after it was ended", async () => {
    const { task } = (await ann.call("task.submit", { runtime: "python", code: "1" })).result
    const { subscription } = (await ann.call("task.watch", { id: task.id })).result
    expect((await ann.next()).params.event.type).toBe("state")
    expect((await ann.call("task.unwatch", { subscription })).result).toEqual({})
    door.tasks.emit(task.id, { type: "end", status: "completed" })
    expect((await ann.call("task.unwatch", { subscription })).error.data.code).toBe("NOT_FOUND")
    expect(ann.pending).toEqual([])
    await expect.poll(() => door.tasks.watching()).toBe(0)
  })

  it("takes the lane that the token allows when none is named", async () => {
    const eve = await connectRaw(door, await door.token("eve", { laneMax: "low" }))
    const { task } = (await eve.call("task.submit", { runtime: "python", code: "1" })).result
    const urgent = (await ann.call("task.submit", { runtime: "python", code: "1" })).result.task
    expect([task.lane, urgent.lane]).toEqual(["low", "normal"])
    eve.close()
  })

  it("a repeat under a key is the first task, also when the token allows less by now", async () => {
    const request = { runtime: "python", code: "1", lane: "high", idempotencyKey: "k" }
    const first = await connectRaw(door, await door.token("eve"))
    const { task } = (await first.call("task.submit", request)).result
    first.close()
    const again = await connectRaw(door, await door.token("eve", { laneMax: "low" }))
    expect((await again.call("task.submit", request)).result).toMatchObject({ task: { id: task.id }, duplicate: true })
    again.close()
  })

  it("does everything else that the table of methods names", async () => {
    const { task } = (await ann.call("task.submit", { runtime: "python", code: "1" })).result
    const dead = door.tasks.add("ann", { status: "failed", phase: "ended" })
    const { subscription } = (await ann.call("events.watch", {})).result
    const params: Record<string, object> = {
      "task.submit": { image: "debian", command: ["true"] },
      "task.get": { id: task.id },
      "task.update": { id: task.id, lane: "low" },
      "task.cancel": { id: task.id },
      "task.kill": { id: task.id },
      "task.retry": { id: task.id },
      "task.delete": { id: task.id },
      "task.watch": { id: dead.id },
      "task.unwatch": { subscription },
      "dlq.requeue": { ids: [dead.id, "nobodys"] },
      "worker.drain": { worker: "w1" },
      "secret.set": { name: "TOKEN", value: "x" },
      "secret.delete": { name: "TOKEN" },
      "auth.refresh": { token: await door.token("ann") },
    }
    const root = await connectRaw(door, await door.token("root", { role: "admin" }))
    for (const method of METHOD_NAMES) {
      const answer = await (method === "worker.drain" ? root : ann).call(method, params[method] ?? {})
      expect({ method, error: answer.error }).toEqual({ method, error: undefined })
      const decoded = decodeResult(method, answer.result)
      expect({ method, decoded: Result.isSuccess(decoded) ? "ok" : decoded.failure.message }).toEqual({
        method,
        decoded: "ok",
      })
    }
  })

  it("answers for another owner's task exactly as for one that does not exist", async () => {
    const { task } = (await ann.call("task.submit", { runtime: "python", code: "1" })).result
    for (const method of [
      "task.get",
      "task.cancel",
      "task.kill",
      "task.retry",
      "task.delete",
      "task.watch",
      "dlq.requeue",
    ]) {
      const foreign = await bob.call(method, { id: task.id })
      const unknown = await bob.call(method, { id: "nobodys" })
      expect(foreign.error.data).toEqual(unknown.error.data)
      expect(foreign.error.message.replace(task.id, "ID")).toBe(unknown.error.message.replace("nobodys", "ID"))
    }
    const foreign = await bob.call("task.update", { id: task.id, lane: "low" })
    expect(foreign.error.data.code).toBe("NOT_FOUND")
  })
})
