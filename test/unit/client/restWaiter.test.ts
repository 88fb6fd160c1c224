import { afterEach, describe, expect, it } from "vitest"
import type { TaskView } from "../../../actors/api.ts"
import { BerthClient } from "../../../gateway/client/client.ts"
import { attemptResult } from "../../support/fakeProgram.ts"
import { fakeTasks } from "../../support/fakeTasks.ts"
import { eagerTiming, type FakeSocket, fakeTransport, type Frame } from "../../support/fakeTransport.ts"
import { settle } from "../../support/clock.ts"

const clients: BerthClient[] = []
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close()
})

/** A server that knows tasks by id, and tells of their ends when a test says so. */
async function open() {
  const views = new Map<string, TaskView>()
  const asked: string[] = []
  let seq = 0
  const view = (id: string): TaskView => ({ ...fakeTasks().add("ann"), id, seq: ++seq })
  const network = fakeTransport(
    (socket, frame: Frame) => {
      const id = String(frame.params.id)
      asked.push(frame.method === "task.get" ? `get ${id}` : frame.method)
      if (frame.method === "task.submit") {
        const task = view(String(frame.params.code))
        views.set(task.id, task)
        return socket.reply(frame, { task, duplicate: false, seq })
      }
      if (frame.method === "events.watch") return socket.reply(frame, { subscription: "s1", seq })
      if (frame.method !== "task.get") return socket.reply(frame, {})
      const task = views.get(id)
      if (task === undefined) socket.refuse(frame, "NOT_FOUND")
      else socket.reply(frame, { task, seq })
    },
    (socket: FakeSocket) => socket.accept(),
  )
  const client = await BerthClient.open({
    urls: ["ws://a"],
    token: "t",
    transport: network.transport,
    timing: eagerTiming(),
    paced: false,
  })
  clients.push(client)
  const end = (id: string, quietly = false) => {
    const before = views.get(id) ?? view(id)
    const task: TaskView = { ...before, seq: ++seq, status: "completed", phase: "ended", result: attemptResult() }
    views.set(id, task)
    if (!quietly)
      network
        .last()
        .notify("task.event", { subscription: "s1", event: { type: "state", seq, taskId: id, facts: ["ended"], task } })
  }
  const submit = (id: string) => client.submit({ runtime: "bash", code: id })
  return { client, network, views, asked, end, submit }
}

describe("does everybody who waits for an end learn of it?", () => {
  it("many waiters share one subscription, and ask for nothing else", async () => {
    const { asked, end, submit } = await open()
    const handles = await Promise.all(["a", "b", "c"].map(submit))
    const results = Promise.all([...handles, ...handles].map((handle) => handle.result()))
    await settle()
    for (const id of ["b", "a", "c"]) end(id)
    expect((await results).map((outcome) => outcome.id)).toEqual(["a", "b", "c", "a", "b", "c"])
    expect(asked.filter((method) => method !== "task.submit")).toEqual(["events.watch"])
  })

  it("A1: who comes after the end, but knows the task from before it, asks for nothing", async () => {
    const { asked, end, submit } = await open()
    const early = await submit("early")
    const late = await submit("late")
    const waiting = early.result()
    await settle()
    end("late")
    expect((await late.result()).status).toBe("completed")
    end("early")
    await waiting
    expect(asked.filter((method) => method.startsWith("get"))).toEqual([])
  })

  it("A1: who knows the task from before the watch began, or not at all, asks once", async () => {
    const { client, asked, end, submit } = await open()
    const old = await submit("old")
    const recent = await submit("recent")
    const waiting = recent.result()
    await settle()
    end("old", true)
    expect((await old.result()).status).toBe("completed")
    const unknown = client.task("recent").result()
    await settle()
    end("recent")
    expect([(await waiting).status, (await unknown).status]).toEqual(["completed", "completed"])
    expect(asked.filter((method) => method.startsWith("get"))).toEqual(["get old", "get recent"])
  })

  it("A1: an end that was forgotten, because many came after it, is asked for", async () => {
    const { asked, end, submit } = await open()
    // The watch begins before `first`, so that its end is covered until it is forgotten.
    const last = await submit("last")
    const first = await submit("first")
    const waiting = last.result()
    await settle()
    end("first")
    for (let at = 0; at < 1_024; at++) end(`other-${at}`)
    expect((await first.result()).status).toBe("completed")
    expect(asked.at(-1)).toBe("get first")
    end("last")
    await waiting
  })

  it("A2: after an interruption asks for each, and hears of what ended or went meanwhile", async () => {
    const { network, views, end, submit } = await open()
    const handles = await Promise.all(["kept", "gone", "running"].map(submit))
    const [kept, gone, running] = handles.map((handle) => handle.result())
    await settle()
    network.last().end()
    end("kept", true)
    views.delete("gone")
    expect((await kept)?.status).toBe("completed")
    await expect(gone).rejects.toMatchObject({ code: "NOT_FOUND" })
    end("running")
    expect((await running)?.status).toBe("completed")
  })

  it("rejects with the reason of the signal, without harm to others", async () => {
    const { end, submit } = await open()
    const handle = await submit("a")
    const stop = new AbortController()
    const aborted = handle.result({ signal: stop.signal })
    const patient = handle.result()
    stop.abort(new Error("enough"))
    await expect(aborted).rejects.toThrow("enough")
    await expect(handle.result({ signal: stop.signal })).rejects.toThrow("enough")
    await settle()
    end("a")
    expect((await patient).ok).toBe(true)
  })

  it("ends its subscription when nobody has waited for a while", async () => {
    const { asked, end, submit } = await open()
    const handle = await submit("a")
    const result = handle.result()
    await settle()
    end("a")
    await result
    await settle()
    expect(asked.at(-1)).toBe("task.unwatch")
  })
})
