import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { berthError } from "../../../core/errors.ts"
import { settle } from "../../support/clock.ts"
import { fakeSession } from "../../support/fakeLink.ts"

const submit = { runtime: "python", code: "1" }

describe("S1: requests in flight", () => {
  it("are bounded; the answers of the others are not disturbed", async () => {
    const { tasks, ask, answer } = fakeSession({ inFlightMax: 2 })
    let release = (): void => undefined
    tasks.hold = Effect.promise(() => new Promise<void>((resolve) => (release = resolve)))
    await ask(1, "task.get", { id: "a" })
    const first = release
    await ask(2, "task.get", { id: "a" })
    await ask(3, "task.get", { id: "a" })
    expect(answer(3).error.data).toMatchObject({ code: "TOO_MANY", retryable: true })
    expect([answer(1), answer(2)]).toEqual([undefined, undefined])
    first()
    await settle()
    expect(answer(1).error.data.code).toBe("NOT_FOUND")
    tasks.hold = null
    await ask(4, "task.get", { id: "a" })
    expect(answer(4).error.data.code).toBe("NOT_FOUND")
  })

  it("have ids of their own", async () => {
    const { tasks, link, ask } = fakeSession()
    tasks.hold = Effect.never
    await ask(1, "task.get", { id: "a" })
    await ask(1, "task.get", { id: "b" })
    expect(link.sent).toMatchObject([{ id: 1, error: { data: { code: "INVALID_REQUEST", path: "id" } } }])
  })
})

describe("S2: every request is answered", () => {
  it("with DEADLINE_EXCEEDED when nothing else comes, and only once", async () => {
    const { tasks, link, clock, ask, answer } = fakeSession({ requestMsMax: 1_000 })
    let release = (): void => undefined
    tasks.hold = Effect.promise(() => new Promise<void>((resolve) => (release = resolve)))
    await ask(1, "task.submit", submit)
    expect(link.sent).toEqual([])
    await clock.advance(1_000)
    expect(answer(1).error.data).toMatchObject({ code: "DEADLINE_EXCEEDED", retryable: true })
    release()
    await settle()
    expect(link.sent).toHaveLength(1)
  })

  it("with INTERNAL and no word of the defect when the service has one", async () => {
    const { tasks, link, ask, answer } = fakeSession()
    tasks.hold = Effect.die(new Error("the secret of the house"))
    await ask(1, "task.submit", submit)
    expect(answer(1).error.data.code).toBe("INTERNAL")
    expect(JSON.stringify(link.sent)).not.toContain("secret of the house")
  })

  it("with the service's own error, its hint and its path", async () => {
    const { tasks, ask, answer } = fakeSession()
    tasks.hold = Effect.fail(berthError("STORAGE_FULL", "the disk is full", { path: "params.code" }))
    await ask(1, "task.submit", submit)
    expect(answer(1).error).toMatchObject({
      message: "the disk is full",
      data: { code: "STORAGE_FULL", retryable: true, path: "params.code" },
    })
    expect(answer(1).error.data.hint.length).toBeGreaterThan(10)
  })

  it("leaves no timer behind when it was answered", async () => {
    const { clock, ask } = fakeSession()
    await ask(1, "task.submit", submit)
    expect(clock.armed()).toBe(0)
  })
})

describe("S3: the pace of messages", () => {
  it("a burst, then a rate; what is beyond is refused and nothing of it is done", async () => {
    const { session, clock, tasks, link, ask } = fakeSession({
      messagesBurst: 3,
      messagesPerSecond: 2,
      messagesRefusedMax: 100,
    })
    for (let at = 1; at <= 5; at++) await ask(at, "task.submit", submit)
    expect(tasks.submitted).toHaveLength(3)
    expect(link.sent.map(({ id, error }) => [id, error?.data.code])).toEqual([
      [1, undefined],
      [2, undefined],
      [3, undefined],
      [4, "RATE_LIMITED"],
      [5, "RATE_LIMITED"],
    ])
    await clock.advance(1_000)
    for (let at = 6; at <= 8; at++) await ask(at, "task.submit", submit)
    expect(tasks.submitted).toHaveLength(5)
    session.closed()
  })

  it("a long message counts as several, and never as more than a burst", async () => {
    const { tasks, ask, answer, clock } = fakeSession({
      messagesBurst: 4,
      messagesPerSecond: 1,
      messageBytesCounted: 1_000,
    })
    await ask(1, "task.submit", { ...submit, code: "x".repeat(2_500) })
    await ask(2, "task.submit", { ...submit, code: "x".repeat(2_500) })
    expect([answer(1).error, answer(2).error.data.code, tasks.submitted.length]).toEqual([undefined, "RATE_LIMITED", 1])
    await ask(3, "task.submit", submit)
    expect(answer(3).result).toBeDefined()
    await clock.advance(4_000)
    await ask(4, "task.submit", { ...submit, code: "x".repeat(50_000) })
    expect(answer(4).result).toBeDefined()
  })

  it("a long one beyond the pace is not read, and brings the end nearer by all that it counts for", async () => {
    const { session, link } = fakeSession({ messagesBurst: 2, messagesRefusedMax: 8, messageBytesCounted: 1_000 })
    const long = (id: number) =>
      `{"jsonrpc":"2.0","id":${id},"method":"task.submit","params":[${" ".repeat(3_000)}no JSON`
    for (let at = 0; at < 5; at++) session.receive(long(at))
    expect(link.sent.map(({ id, error }) => [id, error?.data.code])).toEqual([
      [null, "PARSE_ERROR"],
      [1, "RATE_LIMITED"],
      [2, "RATE_LIMITED"],
    ])
    expect(link.closes.map(({ code }) => code)).toEqual([4429])
  })

  it("who goes on regardless is closed with 4429", async () => {
    const { session, link } = fakeSession({ messagesBurst: 2, messagesRefusedMax: 3 })
    for (let at = 0; at < 100; at++) session.receive("{")
    expect(link.closes).toEqual([{ code: 4429, reason: "RATE_LIMITED: too many messages" }])
    expect(link.sent.length).toBeLessThanOrEqual(6)
  })

  it("notifications and binary frames count too, and do nothing", async () => {
    const { session, tasks, link } = fakeSession({ messagesBurst: 2, messagesRefusedMax: 3 })
    session.receive(JSON.stringify({ jsonrpc: "2.0", method: "task.submit", params: submit }))
    session.receiveBinary()
    await settle()
    expect(tasks.submitted).toEqual([])
    expect(link.sent).toMatchObject([{ id: null, error: { data: { code: "PARSE_ERROR" } } }])
    for (let at = 0; at < 5; at++) session.receive(JSON.stringify({ jsonrpc: "2.0", method: "x" }))
    expect(link.closes).toHaveLength(1)
  })
})

describe("S4: the token's end", () => {
  const expiring = (lifeMs: number) => fakeSession({}, { identity: { expiresAtMs: 1_750_000_000_000 + lifeMs } })

  it("closes with 4401 when it comes, and not before", async () => {
    const { clock, link } = expiring(60_000)
    await clock.advance(59_999)
    expect(link.closes).toEqual([])
    await clock.advance(1)
    expect(link.closes).toEqual([{ code: 4401, reason: "UNAUTHORIZED: the token has expired" }])
    expect(clock.armed()).toBe(0)
  })

  it("is noticed within five seconds when the wall clock jumps past it", async () => {
    const { clock, link } = expiring(3_600_000)
    clock.stepWall(4_000_000)
    await clock.advance(5_000)
    expect(link.closes).toMatchObject([{ code: 4401 }])
  })

  it("moves with auth.refresh, for the same owner only", async () => {
    const identity = (owner: string, role: "user" | "admin" = "user") => ({
      principal: { owner, role, laneMax: "urgent" as const },
      expiresAtMs: 1_750_000_000_000 + 120_000,
    })
    const authenticator = { verify: (token: string) => Effect.succeed(identity(token)) }
    const { clock, link, ask, answer } = fakeSession(
      {},
      { identity: { expiresAtMs: 1_750_000_000_000 + 10_000 }, authenticator },
    )
    await ask(1, "auth.refresh", { token: "bob" })
    expect(answer(1).error.data).toMatchObject({ code: "FORBIDDEN", path: "params.token" })
    await ask(2, "auth.refresh", { token: "ann" })
    expect(answer(2).result).toEqual({ expiresAtMs: 1_750_000_000_000 + 120_000 })
    await clock.advance(60_000)
    expect(link.closes).toEqual([])
    await clock.advance(60_000)
    expect(link.closes).toMatchObject([{ code: 4401 }])
  })

  it("a connection that closed while its new token was looked at stays closed", async () => {
    const principal = { owner: "ann", role: "user" as const, laneMax: "urgent" as const }
    let release = (): void => undefined
    const verify = () =>
      Effect.as(
        Effect.promise(() => new Promise<void>((resolve) => (release = resolve))),
        {
          principal,
          expiresAtMs: 1_750_000_000_000 + 120_000,
        },
      )
    const { ask, clock, link, session } = fakeSession({}, { authenticator: { verify } })
    await ask(1, "auth.refresh", { token: "t" })
    session.closed()
    release()
    await settle()
    expect([clock.armed(), link.sent]).toEqual([0, []])
    await clock.advance(240_000)
    expect(link.closes).toEqual([])
  })

  it("takes an admin's watches away when the new token is no admin's", async () => {
    const verify = () =>
      Effect.succeed({
        principal: { owner: "ann", role: "user" as const, laneMax: "urgent" as const },
        expiresAtMs: Number.MAX_SAFE_INTEGER,
      })
    const { tasks, link, session, ask } = fakeSession(
      {},
      { identity: { principal: { owner: "ann", role: "admin", laneMax: "urgent" } }, authenticator: { verify } },
    )
    const foreign = tasks.add("bob")
    await ask(1, "task.watch", { id: foreign.id })
    await ask(2, "auth.refresh", { token: "t" })
    expect(link.sent.at(-2)).toMatchObject({
      method: "subscription.ended",
      params: { error: { data: { code: "FORBIDDEN" } } },
    })
    tasks.emit(foreign.id, { type: "end", status: "completed" })
    await settle()
    expect(link.sent.at(-1)).toMatchObject({ id: 2 })
    session.closed()
  })
})
