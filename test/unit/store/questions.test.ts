import type { Msg, PublishOptions } from "@nats-io/transport-node"
import { PermissionViolationError } from "@nats-io/transport-node"
import { Effect, Exit, Fiber } from "effect"
import { describe, expect, it } from "vitest"
import type { BerthError } from "../../../core/errors.ts"
import { isUnheard, refusal } from "../../../store/jetstream/failure.ts"
import { Questions, type QuestionsOptions } from "../../../store/jetstream/questions.ts"
import { asking, Wire } from "../../../store/jetstream/wire.ts"
import { manualClock } from "../../support/clock.ts"
import { until } from "../../support/until.ts"

interface Sent {
  readonly subject: string
  readonly payload: string
  readonly reply: string
}
type Callback = (error: Error | null, message: Msg) => void
type Told = Parameters<QuestionsOptions["onRefused"]>[1]

/** Questions over a connection that remembers what was sent, and is answered by the test. */
function rig() {
  const wire = new Wire()
  const clock = manualClock()
  const sent: Sent[] = []
  const inboxes: { readonly subject: string; readonly callback: Callback }[] = []
  let close = (): void => {}
  const closed = new Promise<void>((resolve) => {
    close = resolve
  })
  let told: Told = () => {}
  const connection = {
    closed: () => closed,
    publish: (subject: string, payload: string, { reply = "" }: PublishOptions) => {
      if (subject === "") throw new Error("no subject")
      sent.push({ subject, payload, reply })
    },
    subscribe: (subject: string, { callback }: { callback: Callback }) => inboxes.push({ subject, callback }),
  }
  const onRefused: QuestionsOptions["onRefused"] = (_, listener) => {
    told = listener
    return () => {}
  }
  const questions = new Questions({ connection, clock, wire, onRefused } as unknown as QuestionsOptions)
  const ask = (subject: string) => asking(wire, questions.question({ what: "asking", subject, payload: "?", read }))
  return {
    wire,
    clock,
    sent,
    inboxes,
    close,
    refuse: (operation: "publish" | "subscription", subject: string) => {
      const violation = new PermissionViolationError("no", operation, subject)
      told(refusal("asking the broker", violation), violation)
    },
    ask: (subject: string): Fiber.Fiber<string, BerthError> => Effect.runFork(ask(subject)),
    answer: (reply: string, text: string, status = 0) =>
      inboxes
        .at(-1)
        ?.callback(null, { subject: reply, data: Buffer.from(text), headers: { code: status } } as unknown as Msg),
  }
}

function read({ data }: Msg): string {
  const text = Buffer.from(data).toString()
  if (text === "nonsense") throw new Error("it is nonsense")
  return text
}

const errorOf = (asked: Fiber.Fiber<string, BerthError>): Promise<BerthError> =>
  Effect.runPromise(Effect.flip(Fiber.join(asked)))

describe("questions to the broker", () => {
  it("QU2 does each answer go to whom it is for, in whatever order they come, over one inbox?", async () => {
    const { answer, ask, inboxes, sent } = rig()
    const asked = ["a", "b", "c"].map(ask)
    for (const { reply, subject } of [...sent].reverse()) answer(reply, `${subject}!`)
    expect(await Effect.runPromise(Effect.forEach(asked, Fiber.join))).toEqual(["a!", "b!", "c!"])
    expect(inboxes).toHaveLength(1)
    expect(new Set(sent.map(({ reply }) => reply)).size).toBe(3)
    expect(sent.every(({ reply }) => reply.startsWith(inboxes[0]?.subject.slice(0, -1) ?? "-"))).toBe(true)
  })

  it("QU2 is an answer that comes twice, or too late, or for nobody, no answer to another question?", async () => {
    const { answer, ask, sent } = rig()
    const [first, second] = [ask("a"), ask("b")]
    const [one, two] = sent.map(({ reply }) => reply)
    answer(one ?? "", "1")
    answer(one ?? "", "2")
    await Effect.runPromise(Fiber.interrupt(second))
    answer(two ?? "", "3")
    answer("_INBOX.other.0", "4")
    expect(await Effect.runPromise(Fiber.join(first))).toBe("1")
    expect(Exit.hasInterrupts(await Effect.runPromise(Fiber.await(second)))).toBe(true)
  })

  it("QU1 does one without an answer end in its time, and not a later one with it?", async () => {
    const { ask, clock } = rig()
    const early = ask("a")
    await clock.advance(3_000)
    const late = ask("b")
    await clock.advance(2_000)
    expect(await errorOf(early)).toMatchObject({ code: "STORE_UNAVAILABLE", message: "asking: timeout" })
    let isOver = false
    late.addObserver(() => {
      isOver = true
    })
    await clock.advance(2_999)
    expect(isOver).toBe(false)
    await clock.advance(1)
    expect((await errorOf(late)).message).toBe("asking: timeout")
    expect(clock.armed()).toBe(0)
  })

  it("QU1 is it said that nobody listens, that an answer is none, and that it could not be sent?", async () => {
    const { answer, ask, sent } = rig()
    const unheard = ask("a")
    answer(sent[0]?.reply ?? "", "", 503)
    expect(isUnheard(await errorOf(unheard))).toBe(true)
    const unread = ask("a")
    answer(sent[1]?.reply ?? "", "nonsense")
    expect(await errorOf(unread)).toMatchObject({ code: "STORE_UNAVAILABLE", message: "asking: it is nonsense" })
    expect(await errorOf(ask(""))).toMatchObject({ code: "STORE_UNAVAILABLE", message: "asking: no subject" })
  })

  it("QU1 does a subject that the broker refuses end its questions, and no others?", async () => {
    const { answer, ask, refuse, sent } = rig()
    const [refused, other] = [ask("a"), ask("ab")]
    refuse("publish", "a")
    expect(await errorOf(refused)).toMatchObject({ code: "CONFIG_INVALID", path: "nats" })
    answer(sent[1]?.reply ?? "", "there")
    expect(await Effect.runPromise(Fiber.join(other))).toBe("there")
  })

  it("QU1 is an inbox that the broker refuses told to all who wait, and asked for anew?", async () => {
    const { answer, ask, inboxes, sent } = rig()
    const refused = ask("a")
    const { callback, subject } = inboxes[0] ?? { subject: "", callback: () => {} }
    callback(new PermissionViolationError("no", "subscription", subject), {} as Msg)
    expect(await errorOf(refused)).toMatchObject({ code: "CONFIG_INVALID" })
    const again = ask("a")
    answer(sent[1]?.reply ?? "", "there")
    expect(await Effect.runPromise(Fiber.join(again))).toBe("there")
    expect(inboxes).toHaveLength(2)
  })

  it("QU1 do all end when the wire breaks, each time that it does?", async () => {
    const { ask, wire } = rig()
    for (let time = 0; time < 2; time++) {
      const asked = [ask("a"), ask("b")]
      wire.turn(false)
      for (const each of asked) expect((await errorOf(each)).message).toContain("lost before it answered")
      wire.turn(true)
    }
  })

  it("QU3 is nothing kept of what was answered, and of what nobody waits for any more?", async () => {
    for (const end of ["answered", "given up"]) {
      const { answer, ask, clock, sent } = rig()
      ask("a")
      answer(sent[0]?.reply ?? "", "1")
      await clock.advance(3_000)
      const asked = ask("b")
      if (end === "answered") answer(sent[1]?.reply ?? "", "2")
      else await Effect.runPromise(Fiber.interrupt(asked))
      // The timer of the first finds nothing that it would have to wait for.
      await clock.advance(2_000)
      expect(clock.armed()).toBe(0)
    }
  })

  it("QU3 is there one timer, also when who heard nothing asks again at once?", async () => {
    const { ask, clock, sent } = rig()
    const first = ask("a")
    const again = Effect.runFork(Effect.catch(Fiber.join(first), () => Fiber.join(ask("b"))))
    await clock.advance(3_000)
    ask("c")
    await clock.advance(2_000)
    await until(() => sent.length === 3)
    expect(clock.armed()).toBe(1)
    await clock.advance(5_000)
    expect(Exit.isFailure(await Effect.runPromise(Fiber.await(again)))).toBe(true)
    expect(clock.armed()).toBe(0)
  })

  it("QU3 do all end when the connection is closed, and is no timer left?", async () => {
    const { ask, clock, close } = rig()
    const asked = ask("a")
    expect(clock.armed()).toBe(1)
    close()
    expect((await errorOf(asked)).code).toBe("STORE_UNAVAILABLE")
    expect(clock.armed()).toBe(0)
  })
})
