import { afterEach, beforeEach, describe, expect, it } from "vitest"
import type { WatchEvent } from "../../../actors/api.ts"
import type { BerthClient, TaskEvent, TaskHandle } from "../../../gateway/client/index.ts"
import { connect } from "../../../gateway/client/index.ts"
import { type CuttingProxy, openCuttingProxy } from "../../support/cuttingProxy.ts"
import { type Door, openDoor } from "../../support/door.ts"
import { type FakeProgram, fakeProgram } from "../../support/fakeProgram.ts"
import { settle } from "../../support/clock.ts"

let door: Door
let wire: CuttingProxy
let client: BerthClient

beforeEach(async () => {
  door = await openDoor()
  wire = await openCuttingProxy(door.url)
  client = await connect(wire.url, { token: () => door.token() })
})
afterEach(async () => {
  await client.close()
  await wire.close()
  await door.close()
})

const REQUEST = { runtime: "python", code: "print(1)" } as const
const programOf = (handle: TaskHandle): FakeProgram => fakeProgram(door.tasks, handle.known as never)
const collect = async (events: AsyncIterable<TaskEvent>) => {
  const seen: TaskEvent[] = []
  for await (const event of events) seen.push(event)
  return seen
}
const comparable = (events: readonly (TaskEvent | WatchEvent)[]) =>
  events.map((event) =>
    event.type === "output" ? { ...event, bytes: Buffer.from(event.bytes).toString("hex") } : event,
  )
const logOf = (id: string) => comparable(door.tasks.log.filter((event) => event.taskId === id))
const until = async (isSo: () => boolean) => {
  while (!isSo()) await settle(1)
}

describe("one task, over a real socket", () => {
  it("runs: submits, streams, and answers with verdict, time, memory and output together", async () => {
    const events: string[] = []
    const outcome = await client.run(REQUEST, {
      onSubmitted: (handle) => {
        const program = programOf(handle)
        program.start()
        program.print("stdout", "h\u00e9llo \u{1f600}\n")
        program.print("stderr", "warning\n")
        program.end({ status: "failed", reason: "exit_nonzero", exitCode: 3 })
      },
      onEvent: (event) => events.push(event.type),
    })
    expect(outcome).toMatchObject({
      status: "failed",
      ok: false,
      reason: "exit_nonzero",
      exitCode: 3,
      wallMs: 1_000,
      cpuMs: 500,
    })
    expect([outcome.stdout, outcome.stderr]).toEqual(["héllo \u{1f600}\n", "warning\n"])
    expect(events).toEqual(["state", "state", "output", "output", "state", "end"])
  })

  it("cuts characters at chunk borders and puts them together again, and keeps bytes that are no text", async () => {
    const handle = await client.submit(REQUEST)
    const program = programOf(handle)
    const bytes = [...Buffer.from("ж\u{1f600}"), 0xff, 0x00, 0xc3]
    program.start()
    bytes.forEach((byte, offset) =>
      door.tasks.emit(handle.id, {
        type: "output",
        attempt: 1,
        epoch: 1,
        stream: "stdout",
        offset,
        bytes: Uint8Array.of(byte),
      }),
    )
    program.end()
    const got: number[] = []
    for await (const event of handle.output({ stream: "stdout" })) if (event.type === "output") got.push(...event.bytes)
    expect(got).toEqual(bytes)
  })

  it("gets, lists, updates, cancels, kills, retries, deletes, and names what went wrong", async () => {
    const handle = await client.submit({ ...REQUEST, labels: { team: "a" } })
    expect((await handle.get()).labels).toEqual({ team: "a" })
    expect((await handle.update({ lane: "high" })).lane).toBe("high")
    expect((await handle.cancel()).stopRequested).toBe("cancel")
    expect((await handle.kill()).stopRequested).toBe("kill")
    expect((await handle.retry()).status).toBe("pending")
    await handle.delete()
    await expect(handle.get()).rejects.toMatchObject({ code: "NOT_FOUND", retryable: false })
    await expect(client.submit({ ...REQUEST, timeoutMs: -1 })).rejects.toMatchObject({
      code: "INVALID_PARAMS",
      path: "params.timeoutMs",
    })
    await expect(client.submit({ ...REQUEST, action: "x" } as never)).rejects.toMatchObject({ code: "NOT_YET" })
    expect((await client.system()).clusterId).toBe("fake")
    expect((await client.queue()).slotsTotal).toBe(0)
    expect(await client.discover()).toMatchObject({ openrpc: expect.any(String) })
  })

  it("lists across pages, newest first", async () => {
    for (let at = 0; at < 7; at++) await client.submit(REQUEST)
    const ids: string[] = []
    for await (const task of client.list({ rowsMax: 3 })) ids.push(task.id)
    expect(ids).toEqual([7, 6, 5, 4, 3, 2, 1].map((at) => `task-${at}`))
    const pages: number[] = []
    for await (const page of client.list({ rowsMax: 3 }).pages()) pages.push(page.tasks.length)
    expect(pages).toEqual([3, 3, 1])
  })

  it("downloads an artifact, and names what went wrong", async () => {
    const { id } = await client.submit(REQUEST)
    door.tasks.artifacts.set(`${id} a b/ü.bin`, Uint8Array.of(1, 0, 255))
    expect([...(await client.artifact(id, "a b/ü.bin"))]).toEqual([1, 0, 255])
    await expect(client.artifact(id, "none")).rejects.toMatchObject({ code: "NOT_FOUND" })
  })

  it("knows dead letters", async () => {
    const task = door.tasks.add("ann", { status: "failed", phase: "ended" })
    door.tasks.add("ann")
    const ids: string[] = []
    for await (const dead of client.dlq.list()) ids.push(dead.id)
    expect(ids).toEqual([task.id])
    const { requeued, failed } = await client.dlq.requeue([task.id, "nobody"])
    expect(requeued.map((each) => each.id)).toEqual([task.id])
    expect(failed.map((each) => [each.id, each.error.data.code])).toEqual([["nobody", "NOT_FOUND"]])
  })
})

describe("what a cut wire does", () => {
  it("I7: two watchers, one late, one cut again and again: the same events, no gap, no repeat", async () => {
    const handle = await client.submit(REQUEST)
    const program = programOf(handle)
    const cut = collect(handle.events())
    program.start()
    for (let line = 0; line < 300; line++) {
      program.print(line % 2 === 0 ? "stdout" : "stderr", `line ${line}\n`)
      if (line % 50 === 25) {
        await until(() => door.tasks.watching() === 1)
        wire.cutAfterBytes(700)
        await until(() => door.tasks.watching() === 0)
      }
    }
    program.end()
    const seen = comparable(await cut)
    expect(wire.connections()).toBeGreaterThan(5)
    expect(seen).toEqual(logOf(handle.id))
    expect(comparable(await collect(client.watch(handle.id)))).toEqual(seen)
  })

  it("I1: a submit whose answer was lost makes one task", async () => {
    wire.swallowNextAnswer()
    const handle = await client.submit(REQUEST)
    expect(handle.duplicate).toBe(true)
    expect(door.tasks.submitted.length).toBe(1)
    expect(wire.connections()).toBe(2)
  })

  it("a call that must not be sent twice says that it may have taken effect", async () => {
    const task = door.tasks.add("ann", { status: "failed", phase: "ended" })
    wire.swallowNextAnswer()
    await expect(client.retry(task.id)).rejects.toMatchObject({ code: "CONNECTION_LOST" })
    expect(door.tasks.calls.filter((call) => call === `retried ${task.id}`).length).toBe(1)
    expect((await client.get(task.id)).status).toBe("pending")
  })

  it("results arrive although the connection was lost while they were awaited", async () => {
    const handles = await Promise.all(Array.from({ length: 20 }, () => client.submit(REQUEST)))
    const results = Promise.all(handles.map((handle) => handle.result()))
    await until(() => door.tasks.watching() === 1)
    wire.cut()
    await until(() => door.tasks.watching() === 0)
    for (const handle of handles) {
      const program = programOf(handle)
      program.start()
      program.end()
    }
    expect((await results).map((outcome) => outcome.status)).toEqual(handles.map(() => "completed"))
    // All of them through one subscription, which goes once nobody waits.
    expect(door.tasks.calls.filter((call) => call.startsWith("watch ")).length).toBe(0)
  })

  it("a result is told of a task that was purged meanwhile", async () => {
    const handle = await client.submit(REQUEST)
    const result = handle.result()
    await until(() => door.tasks.watching() === 1)
    const other = await connect(door.url, { token: await door.token() })
    await other.delete(handle.id)
    await other.close()
    wire.cut()
    await expect(result).rejects.toMatchObject({ code: "NOT_FOUND" })
  })
})

describe("who may come in", () => {
  it.each([
    ["no JWT", "garbage", "UNAUTHORIZED"],
    ["an empty token", "", "UNAUTHORIZED"],
  ])("refuses %s with a code, at once", async (_what, token, code) => {
    await expect(connect(door.url, { token })).rejects.toMatchObject({ code })
  })

  it("says when nobody answers, and when the address is none", async () => {
    await expect(connect("ws://127.0.0.1:1", { token: "t" })).rejects.toMatchObject({ code: "CONNECTION_LOST" })
    await expect(connect("ftp://host", { token: "t" })).rejects.toMatchObject({ code: "INVALID_PARAMS" })
    await expect(connect("ws://host?token=x", { token: "t" })).rejects.toMatchObject({ code: "INVALID_PARAMS" })
  })

  it("finds the server that answers among several", async () => {
    const found = await connect(["ws://127.0.0.1:1", wire.url], { token: await door.token() })
    expect(new URL(found.url).host).toBe(new URL(wire.url).host)
    await found.close()
  })

  it("puts a newer token in the place of the old one", async () => {
    const { expiresAtMs } = await client.refreshToken(await door.token("ann", {}, 3_600_000))
    expect(expiresAtMs).toBeGreaterThan(Date.now())
    await expect(client.refreshToken(await door.token("bob"))).rejects.toMatchObject({ code: "FORBIDDEN" })
  })

  it("sees nothing of another owner", async () => {
    const { id } = await client.submit(REQUEST)
    const bob = await connect(door.url, { token: await door.token("bob") })
    await expect(bob.get(id)).rejects.toMatchObject({ code: "NOT_FOUND" })
    await expect(collect(bob.watch(id))).rejects.toMatchObject({ code: "NOT_FOUND" })
    await bob.close()
  })
})

describe("how a client ends", () => {
  it("closes with `await using`, and what still waits says so", async () => {
    let late: Promise<unknown> = Promise.resolve()
    {
      await using shortLived = await connect(door.url, { token: await door.token() })
      const handle = await shortLived.submit(REQUEST)
      late = handle.result()
      late.catch(() => {})
    }
    await expect(late).rejects.toMatchObject({ code: "SHUTTING_DOWN" })
  })

  it("cancels the task of a run whose signal aborts, whether or not it was accepted yet", async () => {
    for (const early of [true, false]) {
      const stop = new AbortController()
      const run = client.run(REQUEST, {
        signal: stop.signal,
        onSubmitted: () => {
          if (!early) stop.abort(new Error("enough"))
        },
      })
      if (early) stop.abort(new Error("enough"))
      await expect(run).rejects.toThrow("enough")
    }
    await until(() => door.tasks.calls.filter((call) => call.startsWith("cancel")).length === 2)
  })

  it("stays within the door's pace however much is asked at once", async () => {
    const handles = await Promise.all(Array.from({ length: 220 }, () => client.submit(REQUEST)))
    expect(new Set(handles.map((handle) => handle.id)).size).toBe(220)
  })
})
