import fc from "fast-check"
import { afterEach, describe, expect, it } from "vitest"
import type { WatchEvent } from "../../../actors/api.ts"
import { BerthClient } from "../../../gateway/client/client.ts"
import type { TaskEvent } from "../../../gateway/client/events.ts"
import { toWireEvent } from "../../../gateway/server/subscriptions.ts"
import { fakeProgram } from "../../support/fakeProgram.ts"
import { fakeTasks } from "../../support/fakeTasks.ts"
import { eagerTiming, type FakeSocket, fakeTransport, type Frame } from "../../support/fakeTransport.ts"
import { settle } from "../../support/clock.ts"

const clients: BerthClient[] = []
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close()
})

/** A log of one task, as a server would send it. */
function lifeOf(lines: number, siblings = true): readonly WatchEvent[] {
  const tasks = fakeTasks()
  const program = fakeProgram(tasks, tasks.add("ann"))
  const events: WatchEvent[] = []
  program.start()
  for (let line = 0; line < lines; line++) {
    program.print(line % 3 === 0 ? "stderr" : "stdout", `line ${line}\n`)
    if (line % 7 === 0) program.progress({ line })
  }
  program.skip("stdout", 10)
  program.print("stdout", "tail")
  program.end()
  for (const event of tasks.log) events.push(siblings ? { ...event, ...pairUp(event) } : event)
  return events
}

/** Two events that follow each other share a record, as far as the log's order allows. */
const pairUp = (event: WatchEvent): { seq?: number } =>
  event.seq !== null && event.type !== "state" && event.type !== "end" && event.seq % 2 === 1
    ? { seq: event.seq - 1 }
    : {}

interface Server {
  readonly log: readonly WatchEvent[]
  /** Cuts the connection after so many events of each subscription; one for each. */
  readonly cuts: number[]
  readonly asked: Frame[]
}

function serve({ log, cuts, asked }: Server) {
  const network = letIn((socket, frame) => {
    asked.push(frame)
    if (frame.method === "task.unwatch") socket.reply(frame, {})
    if (frame.method === "task.watch" || frame.method === "events.watch") answer(socket, frame)
  })
  const answer = (socket: FakeSocket, frame: Frame) => {
    const subscription = `s${asked.length}`
    socket.reply(frame, { subscription, seq: 1 })
    const fromSeq = Number(frame.params.fromSeq ?? 0)
    const wanted = log.filter((event) => event.seq === null || event.seq > fromSeq)
    const cut = cuts.shift() ?? Number.POSITIVE_INFINITY
    for (const event of wanted.slice(0, cut)) socket.notify("task.event", { subscription, event: toWireEvent(event) })
    if (cut < wanted.length) socket.end()
    else socket.notify("subscription.ended", { subscription, error: null })
  }
  return network
}

/** A client over a network of the test's own making; closed after the test. */
async function openOver(
  network: ReturnType<typeof fakeTransport>,
  more: Partial<Parameters<typeof BerthClient.open>[0]> = {},
): Promise<BerthClient> {
  const { transport } = network
  const client = await BerthClient.open({ urls: ["ws://a"], token: "t", transport, timing: eagerTiming(), ...more })
  clients.push(client)
  return client
}

/** Whoever knocks is let in, and what it then asks comes to `hear`. */
const letIn = (hear: (socket: FakeSocket, frame: Frame) => void): ReturnType<typeof fakeTransport> =>
  fakeTransport(hear, (socket) => socket.accept())

async function connectTo(server: Server, random01: () => number = () => 0.5) {
  const network = serve(server)
  const client = await openOver(network, { urls: ["ws://a", "ws://b"], timing: eagerTiming(random01), paced: false })
  return { client, network }
}

const collect = async (events: AsyncIterable<TaskEvent>) => {
  const seen: TaskEvent[] = []
  for await (const event of events) seen.push(event)
  return seen
}

const comparable = (events: readonly (TaskEvent | WatchEvent)[]) =>
  events.map((event) => (event.type === "output" ? { ...event, bytes: Buffer.from(event.bytes).toString() } : event))

describe("I7: does a watcher see everything once and in order?", () => {
  it("I7: when nothing is cut", async () => {
    const log = lifeOf(20)
    const { client } = await connectTo({ log, cuts: [], asked: [] })
    expect(comparable(await collect(client.watch("task-1")))).toEqual(comparable(log))
  })

  it("I7: wherever and however often the connection is cut, also inside a record", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 30 }),
        fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 20 }),
        fc.boolean(),
        async (lines, cuts, siblings) => {
          const log = lifeOf(lines, siblings)
          const { client } = await connectTo({ log, cuts: [...cuts], asked: [] })
          expect(comparable(await collect(client.watch("task-1")))).toEqual(comparable(log))
          await client.close()
        },
      ),
      { numRuns: 200 },
    )
  })

  it("I7: when it begins in the middle", async () => {
    const log = lifeOf(20)
    const { client } = await connectTo({ log, cuts: [3, 3, 3], asked: [] })
    const fromSeq = 9
    expect(comparable(await collect(client.watch("task-1", { fromSeq })))).toEqual(
      comparable(log.filter((event) => event.seq !== null && event.seq > fromSeq)),
    )
  })

  it("I7: a slow reader pauses its watch, and loses nothing", async () => {
    const tasks = fakeTasks()
    const program = fakeProgram(tasks, tasks.add("ann"))
    program.start()
    const chunk = "x".repeat(64 * 1024)
    for (let at = 0; at < 200; at++) program.print("stdout", chunk)
    program.end()
    const asked: Frame[] = []
    const { client } = await connectTo({ log: tasks.log, cuts: [], asked })
    let bytes = 0
    for await (const event of client.watch("task-1")) {
      if (event.type !== "output") continue
      expect(event.offset).toBe(bytes)
      bytes += event.bytes.length
      await settle(1)
    }
    expect(bytes).toBe(200 * chunk.length)
    const methods = asked.map((frame) => frame.method)
    // 12.5 MiB through a queue of 4 MiB: it was full at least twice.
    expect(methods.filter((method) => method === "task.unwatch").length).toBeGreaterThanOrEqual(2)
    expect(methods.filter((method) => method === "task.watch").length).toBeGreaterThanOrEqual(3)
  })
})

describe("how does a watch end?", () => {
  it("asks only from where it stood, on the next server", async () => {
    const asked: Frame[] = []
    const { client, network } = await connectTo({ log: lifeOf(6, false), cuts: [4], asked })
    const seen = await collect(client.watch("task-1"))
    expect(asked.map((frame) => frame.params.fromSeq)).toEqual([0, 3])
    expect(network.sockets.map((socket) => socket.target.url)).toEqual(["ws://a/v1", "ws://b/v1"])
    expect(seen.at(-1)?.type).toBe("end")
  })

  it("fails with the server's error when there is no such task", async () => {
    const network = letIn((socket, frame) => socket.refuse(frame, "NOT_FOUND"))
    const client = await openOver(network)
    await expect(collect(client.watch("nobody"))).rejects.toMatchObject({ code: "NOT_FOUND" })
  })

  it("tries again after an error that may pass, and after a subscription that the server ended", async () => {
    const log = lifeOf(3, false)
    let tries = 0
    const network = letIn((socket, frame) => {
      tries += 1
      if (tries === 1) return socket.refuse(frame, "NOT_READY")
      socket.reply(frame, { subscription: `s${tries}`, seq: 1 })
      const from = Number(frame.params.fromSeq)
      const wanted = log.filter((event) => event.seq !== null && event.seq > from)
      const sent = tries === 2 ? wanted.slice(0, 3) : wanted
      for (const event of sent) socket.notify("task.event", { subscription: `s${tries}`, event: toWireEvent(event) })
      const data = { code: "SHUTTING_DOWN", retryable: true, hint: "…", path: null }
      const error = tries === 2 ? { code: -32026, message: "stopping", data } : null
      socket.notify("subscription.ended", { subscription: `s${tries}`, error })
    })
    const client = await openOver(network)
    expect(comparable(await collect(client.watch("task-1")))).toEqual(comparable(log))
    expect(tries).toBe(3)
  })

  it("fails in the end when the server meets the same defect again and again, and not while it gets on", async () => {
    const log = lifeOf(20, false)
    const data = { code: "INTERNAL", retryable: true, hint: "…", path: null }
    const error = { code: -32603, message: "a defect", data }
    /** Tells so many events each time before its defect. */
    const broken = (count: number) => {
      let tries = 0
      const network = letIn((socket, frame) => {
        if (frame.method !== "task.watch") return
        const subscription = `s${++tries}`
        socket.reply(frame, { subscription, seq: 1 })
        const from = Number(frame.params.fromSeq)
        const wanted = log.filter((event) => event.seq !== null && event.seq > from)
        for (const event of wanted.slice(0, count))
          socket.notify("task.event", { subscription, event: toWireEvent(event) })
        socket.notify("subscription.ended", { subscription, error: wanted.length > count ? error : null })
      })
      return { network, tries: () => tries }
    }
    const stuck = broken(0)
    await expect(collect((await openOver(stuck.network)).watch("task-1"))).rejects.toMatchObject({ code: "INTERNAL" })
    expect(stuck.tries()).toBe(5)
    const slow = broken(2)
    expect(comparable(await collect((await openOver(slow.network)).watch("task-1")))).toEqual(comparable(log))
    expect(slow.tries()).toBeGreaterThan(5)
  })

  it("fails when the client is closed, and with the signal's reason when that aborts", async () => {
    const silent = letIn(() => {})
    const client = await openOver(silent)
    const stop = new AbortController()
    const aborted = collect(client.watch("task-1", { signal: stop.signal }))
    const closed = collect(client.watch("task-1"))
    stop.abort(new Error("enough"))
    await expect(aborted).rejects.toThrow("enough")
    await client.close()
    await expect(closed).rejects.toMatchObject({ code: "SHUTTING_DOWN" })
    await expect(client.events().next()).rejects.toMatchObject({ code: "SHUTTING_DOWN" })
  })

  it("tells the server when the reader leaves, also when the answer was still under way", async () => {
    const asked: Frame[] = []
    const { client } = await connectTo({ log: lifeOf(50), cuts: [], asked })
    for await (const event of client.watch("task-1")) if (event.type === "output") break
    await settle()
    const held: [FakeSocket, Frame][] = []
    const network = letIn((socket, frame) => void held.push([socket, frame]))
    const slow = await openOver(network)
    const events = slow.watch("task-1")
    const next = events.next()
    await settle()
    await events.return?.()
    expect(await next).toEqual({ done: true, value: undefined })
    const [socket, frame] = held[0] as [FakeSocket, Frame]
    socket.reply(frame, { subscription: "s77", seq: 1 })
    await settle()
    expect(held.map(([, each]) => [each.method, each.params.subscription])).toEqual([
      ["task.watch", undefined],
      ["task.unwatch", "s77"],
    ])
  })

  it("what the server tells of a subscription that nobody here has is ended, once", async () => {
    const held: [FakeSocket, Frame][] = []
    const client = await openOver(letIn((socket, frame) => void held.push([socket, frame])))
    await expect(client.submit({ handler: "h" }, { deadlineMs: 1 })).rejects.toMatchObject({
      code: "DEADLINE_EXCEEDED",
    })
    const [socket] = held[0] as [FakeSocket, Frame]
    for (const event of lifeOf(2).slice(0, 3))
      socket.notify("task.event", { subscription: "s9", event: toWireEvent(event) })
    await settle()
    expect(held.slice(1).map(([, each]) => [each.method, each.params.subscription])).toEqual([["task.unwatch", "s9"]])
    // Who has been told that it ended may be asked again, on another connection say.
    socket.reply((held[1] as [FakeSocket, Frame])[1], {})
    socket.notify("task.event", { subscription: "s9", event: toWireEvent(lifeOf(2)[0] as WatchEvent) })
    await settle()
    expect(held).toHaveLength(3)
  })
})
