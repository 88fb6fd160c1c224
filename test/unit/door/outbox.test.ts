import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { doorLimits } from "../../../gateway/server/limits.ts"
import { makeOutbox } from "../../../gateway/server/outbox.ts"
import { manualClock, settle } from "../../support/clock.ts"
import { fakeLink } from "../../support/fakeLink.ts"
import { fakeSession } from "../../support/fakeLink.ts"

const LIMITS = doorLimits({ unsentBytesMax: 1_000, unsentMsMax: 10_000 })
const text = (at: number) => JSON.stringify({ at, filling: "x".repeat(100) })

const slow = () => {
  const clock = manualClock()
  const link = fakeLink()
  link.reads = false
  const outbox = makeOutbox(link, clock, LIMITS)
  const paced = (at: number) =>
    Effect.runFork(
      Effect.andThen(
        outbox.room,
        Effect.sync(() => outbox.send(text(at))),
      ),
    )
  return { clock, link, outbox, paced }
}

describe("a reader that falls behind", () => {
  it("O1: gets no more than the bound and one message; the rest waits, and comes in order", async () => {
    const { link, paced } = slow()
    for (let at = 0; at < 100; at++) paced(at)
    await settle()
    expect(link.unsentBytes()).toBeLessThan(1_000 + 200)
    const before = link.sent.length
    expect(before).toBeLessThan(12)
    for (let round = 0; round < 200; round++) {
      link.take(1)
      await settle(1)
      expect(link.unsentBytes()).toBeLessThan(1_000 + 200)
    }
    expect(link.sent.map(({ at }) => at)).toEqual(Array.from({ length: 100 }, (_, at) => at))
  })

  it("O2: may not ask more until it has read", async () => {
    const { link, outbox } = slow()
    for (let at = 0; at < 20; at++) outbox.send(text(at))
    expect(link.paused()).toBe(true)
    link.take()
    expect(link.paused()).toBe(false)
  })

  it("O3: is closed with 1013 after ten seconds, and not if it read in between", async () => {
    const { clock, link, paced } = slow()
    for (let at = 0; at < 100; at++) paced(at)
    await clock.advance(9_999)
    link.take(3)
    await settle()
    await clock.advance(9_999)
    expect(link.closes).toEqual([])
    await clock.advance(1)
    expect(link.closes).toMatchObject([{ code: 1013 }])
  })

  it("a closed one keeps no timer and sends nothing", async () => {
    const { clock, link, outbox } = slow()
    for (let at = 0; at < 20; at++) outbox.send(text(at))
    expect(clock.armed()).toBe(1)
    outbox.close()
    expect(clock.armed()).toBe(0)
    const before = link.sent.length
    outbox.send(text(99))
    expect(link.sent.length).toBe(before)
  })
})

describe("a watch with a slow reader", () => {
  it("stops pulling from the log, and goes on where it was", async () => {
    const { tasks, link, ask, session } = fakeSession({ unsentBytesMax: 5_000 })
    const task = tasks.add("ann")
    link.reads = false
    const bytes = new Uint8Array(1_000).fill(97)
    for (let at = 0; at < 500; at++)
      tasks.emit(task.id, { type: "output", attempt: 1, epoch: 1, stream: "stdout", offset: at * 1_000, bytes })
    await ask(1, "task.watch", { id: task.id })
    await settle()
    expect(tasks.handedOut()).toBeLessThan(20)
    link.reads = true
    link.take()
    await settle(600)
    const offsets = link.sent
      .filter(({ params }) => params?.event.type === "output")
      .map(({ params }) => params.event.offset)
    expect(offsets).toEqual(Array.from({ length: 500 }, (_, at) => at * 1_000))
    session.closed()
  })

  it("that is ended while it waits sends nothing more, however the reader goes on", async () => {
    const { tasks, link, ask, session } = fakeSession({ unsentBytesMax: 2_000 })
    const task = tasks.add("ann")
    link.reads = false
    const bytes = new Uint8Array(1_000).fill(97)
    for (let at = 0; at < 20; at++)
      tasks.emit(task.id, { type: "output", attempt: 1, epoch: 1, stream: "stdout", offset: at * 1_000, bytes })
    await ask(1, "task.watch", { id: task.id })
    await settle()
    await ask(2, "task.unwatch", { subscription: "s1" })
    await settle()
    expect(tasks.watching()).toBe(0)
    link.reads = true
    link.take()
    await settle()
    expect(link.sent.at(-1)).toMatchObject({ id: 2, result: {} })
    session.closed()
  })
})
