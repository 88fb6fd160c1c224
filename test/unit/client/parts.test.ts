import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Collected } from "../../../gateway/client/collected.ts"
import { httpOrigin, socketUrl } from "../../../gateway/client/endpoint.ts"
import { EventQueue } from "../../../gateway/client/eventQueue.ts"
import { readEvent, type TaskEvent } from "../../../gateway/client/events.ts"
import { judgeEnd } from "../../../gateway/client/socketEnd.ts"
import { SubmitKeys } from "../../../gateway/client/submitKeys.ts"
import { outcomeOf } from "../../../gateway/client/outcome.ts"
import { toWireEvent } from "../../../gateway/server/subscriptions.ts"
import { fakeTasks } from "../../support/fakeTasks.ts"
import { settle } from "../../support/clock.ts"

describe("which addresses are understood?", () => {
  it.each([
    ["127.0.0.1:7411", "ws://127.0.0.1:7411/v1"],
    ["http://127.0.0.1:7411", "ws://127.0.0.1:7411/v1"],
    ["https://berth.example/", "wss://berth.example/v1"],
    ["wss://berth.example/behind/proxy", "wss://berth.example/behind/proxy"],
    ["ws://[::1]:7411/v1", "ws://[::1]:7411/v1"],
    ["localhost:7411", "ws://localhost:7411/v1"],
  ])("%s is %s", (text, url) => {
    expect(socketUrl(text)).toBe(url)
  })

  it.each(["", "ftp://x", "ws://", "ws://u:p@h", "ws://h?token=x", "http://h:99999"])("%s is refused", (text) => {
    expect(() => socketUrl(text)).toThrow(expect.objectContaining({ code: "INVALID_PARAMS", path: "url" }))
  })

  it("downloads come from the same server", () => {
    expect([httpOrigin("wss://h:1/v1"), httpOrigin("ws://h/v1")]).toEqual(["https://h:1", "http://h"])
  })
})

describe("a queue between a socket and its reader", () => {
  const open = (weightMax = 1e9) => {
    const told: string[] = []
    const tell = (what: string) => () => void told.push(what)
    const source = { begin: tell("begin"), pause: tell("pause"), resume: tell("resume"), stop: tell("stop") }
    return { told, queue: new EventQueue<number>(source, weightMax, () => 1) }
  }

  it("Q1: gives all that was put in, in order, then the end or the failure, however it is read", async () => {
    const step = fc.constantFrom("put", "read" as const)
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.boolean(), async (steps, fails) => {
        const { queue } = open(5)
        const reads: Promise<unknown>[] = []
        let put = 0
        const read = () =>
          reads.push(
            queue.next().then(
              (next) => next.value,
              (cause: unknown) => cause,
            ),
          )
        for (const taken of steps) {
          if (taken === "put") queue.put(put++)
          else read()
        }
        if (fails) queue.fail("broken")
        else queue.finish()
        queue.put(999)
        while (reads.length < put + 2) read()
        const got = await Promise.all(reads)
        expect(got.slice(0, put)).toEqual(Array.from({ length: put }, (_, at) => at))
        expect(got[put]).toBe(fails ? "broken" : undefined)
        expect(got.slice(put + 1).every((value) => value === undefined)).toBe(true)
      }),
    )
  })

  it("Q2: pauses its source beyond its weight, and goes on when all is read", async () => {
    const { queue, told } = open(3)
    const first = queue.next()
    for (let at = 0; at < 6; at++) queue.put(at)
    await first
    expect(told).toEqual(["begin", "pause"])
    for (let at = 0; at < 5; at++) await queue.next()
    expect(told).toEqual(["begin", "pause", "resume"])
  })

  it("Q3: tells its source when the reader leaves the loop, throws, or returns while it waits", async () => {
    for (const leave of ["break", "throw", "return"]) {
      const { queue, told } = open()
      queue.put(1)
      queue.put(2)
      if (leave === "return") {
        await queue.next()
        await queue.next()
        const waiting = queue.next()
        await settle(1)
        await queue.return()
        expect(await waiting).toEqual({ done: true, value: undefined })
      } else {
        const loop = async () => {
          for await (const _ of queue) {
            if (leave === "throw") throw new Error("left")
            break
          }
        }
        await loop().catch(() => {})
      }
      expect(told).toEqual(["begin", "stop"])
      expect(await queue.next()).toEqual({ done: true, value: undefined })
    }
  })

  it("lets go of what was read although more waits behind it", async () => {
    const { queue } = open()
    for (let at = 0; at < 5_000; at++) queue.put(at)
    for (let at = 0; at < 4_000; at++) expect((await queue.next()).value).toBe(at)
    queue.put(5_000)
    for (let at = 4_000; at <= 5_000; at++) expect((await queue.next()).value).toBe(at)
  })
})

describe("what is read of an event", () => {
  it("its bytes exactly, whatever they are", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const event = {
          type: "output",
          seq: 1,
          taskId: "t",
          attempt: 1,
          epoch: 1,
          stream: "stdout",
          offset: 0,
          bytes,
        } as const
        expect(readEvent(JSON.parse(JSON.stringify(toWireEvent(event))))).toEqual(event)
      }),
    )
  })

  it("fields of a newer server are dropped, and kinds of one are skipped", () => {
    const gap = { type: "gap", seq: 1, taskId: "t", attempt: 1, epoch: 1, stream: "stdout", offset: 0, bytes: 3 }
    expect(readEvent({ ...gap, colour: "red" })).toEqual(gap)
    expect([readEvent({ type: "dance", seq: 3 }), readEvent(null), readEvent("x")]).toEqual([null, null, null])
    const broken = { ...gap, type: "output", data: "no base64!", encoding: "base64" }
    expect(readEvent(broken)).toBe(null)
  })
})

describe("collected output", () => {
  const print = (text: string | Uint8Array, more: Partial<Extract<TaskEvent, { type: "output" }>> = {}): TaskEvent => ({
    type: "output",
    seq: 1,
    taskId: "t",
    attempt: 1,
    epoch: 1,
    stream: "stdout",
    offset: 0,
    bytes: typeof text === "string" ? Buffer.from(text) : text,
    ...more,
  })
  const gap = (bytes: number): TaskEvent => ({
    type: "gap",
    seq: 1,
    taskId: "t",
    attempt: 1,
    epoch: 1,
    stream: "stdout",
    offset: 0,
    bytes,
  })
  const started: TaskEvent = { type: "state", seq: 1, taskId: "t", facts: ["started"], task: fakeTasks().add("ann") }
  const collect = (bytesMax: number, events: readonly TaskEvent[]) => {
    const collected = new Collected(bytesMax)
    for (const event of events) collected.add(event)
    return [collected.text("stdout"), collected.text("stderr")]
  }

  it("joins characters that were cut, keeps its limit, and says how much is missing", () => {
    const bytes = Buffer.from("жy")
    expect(
      collect(100, [print(bytes.subarray(0, 1)), print(bytes.subarray(1)), print("e", { stream: "stderr" })]),
    ).toEqual(["жy", "e"])
    expect(collect(4, [print("abc"), print("def"), print("g")])).toEqual(["abcd\n[3 more bytes]\n", ""])
    expect(collect(100, [print("head"), gap(7), print("tail")])).toEqual(["head\n[11 more bytes]\n", ""])
  })

  it("begins anew with another run of the program", () => {
    expect(collect(100, [started, print("first"), started, print("second")])).toEqual(["second", ""])
  })
})

describe("what the end of a socket means", () => {
  it.each([
    [{ code: 1006, reason: "" }, "CONNECTION_LOST", false],
    [{ code: 1001, reason: "" }, "SHUTTING_DOWN", false],
    [{ code: 1012, reason: "" }, "SHUTTING_DOWN", false],
    [{ code: 1013, reason: "" }, "OVERLOADED", false],
    [{ code: 1009, reason: "" }, "TOO_LARGE", false],
    [{ code: 4429, reason: "" }, "RATE_LIMITED", false],
    [{ code: 4408, reason: "" }, "DEADLINE_EXCEEDED", false],
    [{ code: 1008, reason: "" }, "FORBIDDEN", true],
    [{ code: 4401, reason: "" }, "UNAUTHORIZED", true],
    [{ code: 1006, reason: "", httpStatus: 403 }, "FORBIDDEN", true],
    [{ code: 1006, reason: "", httpStatus: 429 }, "RATE_LIMITED", false],
    [{ code: 1006, reason: "", httpStatus: 500 }, "CONNECTION_LOST", false],
  ])("%o is %s", (end, code, final) => {
    const verdict = judgeEnd(end, "ws://h/v1")
    expect([verdict.error.code, verdict.final]).toEqual([code, final])
  })
})

describe("small things", () => {
  it("idempotency keys do not repeat", () => {
    const keys = new SubmitKeys()
    const made = Array.from({ length: 1_000 }, () => keys.next())
    expect(new Set(made).size).toBe(1_000)
    expect(made.every((key) => /^sdk-[0-9a-f]{32}$/.test(key))).toBe(true)
  })

  it("a task that is not at rest has no outcome, and one that was never started has one", () => {
    const task = fakeTasks().add("ann")
    expect(outcomeOf(task)).toBe(null)
    expect(outcomeOf({ ...task, status: "cancelled" })).toMatchObject({
      ok: false,
      exitCode: null,
      artifacts: [],
      reason: null,
    })
  })
})
