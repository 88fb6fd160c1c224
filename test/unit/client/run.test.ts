/** Does `run` stay with its task over one request, and over everything that may go wrong with that? */
import { afterEach, describe, expect, it } from "vitest"
import type { WatchEvent } from "../../../actors/api.ts"
import { BerthClient } from "../../../gateway/client/client.ts"
import type { TaskEvent } from "../../../gateway/client/events.ts"
import { toWireEvent } from "../../../gateway/server/subscriptions.ts"
import { settle } from "../../support/clock.ts"
import { fakeProgram } from "../../support/fakeProgram.ts"
import { fakeTasks } from "../../support/fakeTasks.ts"
import { eagerTiming, type FakeSocket, fakeTransport, type Frame } from "../../support/fakeTransport.ts"
import { until } from "../../support/until.ts"

const clients: BerthClient[] = []
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close()
})

/** The life of one task, told by hand. */
function lifeOf(): readonly WatchEvent[] {
  const tasks = fakeTasks()
  const program = fakeProgram(tasks, tasks.add("ann"))
  program.start()
  program.print("stdout", "hello\n")
  program.end()
  return tasks.log
}

interface Door {
  /** How it answers a submit that watches. */
  readonly watches: "yes" | "no room" | "does not know" | "never"
  readonly duplicate?: boolean
  /** Events before the connection is cut, once. */
  cutAfter?: number
}

const REFUSED = { code: "INVALID_PARAMS", retryable: false, hint: "…", path: "params.watch" }

async function open(door: Door) {
  const log = lifeOf()
  const [first] = log
  if (first?.type !== "state") throw new Error("a life without a submit")
  const asked: Frame[] = []
  const tell = (socket: FakeSocket, fromSeq: number) => {
    const wanted = log.filter(({ seq }) => (seq ?? 0) > fromSeq)
    const cutAt = door.cutAfter ?? wanted.length
    delete door.cutAfter
    for (const event of wanted.slice(0, cutAt))
      socket.notify("task.event", { subscription: "s1", event: toWireEvent(event) })
    if (cutAt < wanted.length) socket.end()
    else socket.notify("subscription.ended", { subscription: "s1", error: null })
  }
  const hear = (socket: FakeSocket, frame: Frame) => {
    asked.push(frame)
    const { method, params } = frame
    if (method === "task.unwatch" || method === "task.cancel") socket.reply(frame, {})
    if (method === "task.watch") {
      socket.reply(frame, { subscription: "s1", seq: first.seq })
      tell(socket, Number(params["fromSeq"]))
    }
    if (method !== "task.submit" || door.watches === "never") return
    if (params["watch"] === true && door.watches === "does not know") {
      const error = { code: -32602, message: "params.watch: is not a field of this object", data: REFUSED }
      return socket.push({ jsonrpc: "2.0", id: frame.id, error })
    }
    const { duplicate = false } = door
    const answer = { task: first.task, duplicate, seq: first.seq }
    const opened = params["watch"] === true && door.watches === "yes"
    socket.reply(frame, opened ? { ...answer, subscription: "s1" } : answer)
    // In the very next frame.
    if (opened) tell(socket, duplicate ? 0 : first.seq)
  }
  const network = fakeTransport(hear, (socket) => socket.accept())
  const { transport } = network
  const client = await BerthClient.open({
    urls: ["ws://a"],
    token: "t",
    transport,
    timing: eagerTiming(),
    paced: false,
  })
  clients.push(client)
  const run = async () => {
    const events: TaskEvent[] = []
    const outcome = await client.run({ handler: "h" }, { onEvent: (event) => void events.push(event) })
    return {
      outcome,
      seqs: events.map(({ seq }) => seq),
      facts: events.map((event) => "facts" in event && event.facts[0]),
    }
  }
  const methods = () => asked.splice(0).map(({ method, params }) => `${method}${"watch" in params ? " +watch" : ""}`)
  return { network, client, run, methods, asked, seqs: log.map(({ seq }) => seq) }
}

describe("run", () => {
  it("asks once, and shows the task's whole life", async () => {
    for (const duplicate of [false, true]) {
      const { methods, run, seqs } = await open({ watches: "yes", duplicate })
      const ran = await run()
      expect(ran.outcome).toMatchObject({ status: "completed", stdout: "hello\n" })
      expect(ran.seqs).toEqual(seqs)
      expect(ran.facts[0]).toBe("submitted")
      expect(methods()).toEqual(["task.submit +watch"])
    }
  })

  it("goes on by itself where the connection was cut, at every event", async () => {
    for (let cutAfter = 0; cutAfter < 4; cutAfter++) {
      const { methods, run, seqs } = await open({ watches: "yes", cutAfter })
      expect((await run()).seqs).toEqual(seqs)
      expect(methods()).toEqual(["task.submit +watch", "task.watch"])
    }
  })

  it("watches by a request of its own where there was no room, which then says why", async () => {
    const { methods, run, seqs } = await open({ watches: "no room" })
    expect((await run()).seqs).toEqual(seqs)
    expect(methods()).toEqual(["task.submit +watch", "task.watch"])
  })

  it("asks an older server once for what it does not know, and another server again", async () => {
    const { asked, methods, network, run, seqs } = await open({ watches: "does not know" })
    expect((await run()).seqs).toEqual(seqs)
    const keys = asked.filter(({ method }) => method === "task.submit").map(({ params }) => params["idempotencyKey"])
    expect(keys).toEqual([keys[0], keys[0]])
    expect(methods()).toEqual(["task.submit +watch", "task.submit", "task.watch"])
    expect((await run()).seqs).toEqual(seqs)
    expect(methods()).toEqual(["task.submit", "task.watch"])
    network.last().end()
    await until(() => network.last().isOpen())
    await run()
    expect(methods()).toEqual(["task.submit +watch", "task.submit", "task.watch"])
  })

  it("that was aborted before the answer ends the watch that the answer opened, and cancels the task", async () => {
    const { asked, client, methods, network } = await open({ watches: "never" })
    const stop = new AbortController()
    const ran = client.run({ handler: "h" }, { signal: stop.signal })
    await settle()
    stop.abort(new Error("enough"))
    const [first] = lifeOf()
    const answer = {
      task: first?.type === "state" && first.task,
      duplicate: false,
      seq: first?.seq,
      subscription: "s9",
    }
    network.last().reply(asked[0] as Frame, answer)
    await expect(ran).rejects.toThrow("enough")
    await settle()
    expect(asked.find(({ method }) => method === "task.unwatch")?.params).toEqual({ subscription: "s9" })
    expect(methods().toSorted()).toEqual(["task.cancel", "task.submit +watch", "task.unwatch"])
  })

  it("whose caller throws when it hears of the task watches no longer", async () => {
    const { client, methods } = await open({ watches: "yes", cutAfter: 0 })
    const thrown = client.run(
      { handler: "h" },
      {
        onSubmitted: () => {
          throw new Error("no thanks")
        },
      },
    )
    await expect(thrown).rejects.toThrow("no thanks")
    await settle()
    expect(methods()).toEqual(["task.submit +watch"])
  })
})
