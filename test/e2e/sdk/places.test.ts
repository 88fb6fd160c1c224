/** What when a client follows more tasks than its connection may have watches? Over a real socket, with room for two. */
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { type BerthClient, connect, type TaskHandle } from "../../../gateway/client/index.ts"
import { type CuttingProxy, openCuttingProxy } from "../../support/cuttingProxy.ts"
import { type Door, openDoor } from "../../support/door.ts"
import { fakeProgram } from "../../support/fakeProgram.ts"
import { until } from "../../support/until.ts"

let door: Door
let wire: CuttingProxy
let client: BerthClient

beforeEach(async () => {
  door = await openDoor({ limits: { subscriptionsMax: 2 } })
  wire = await openCuttingProxy(door.url)
  client = await connect(wire.url, { token: () => door.token() })
})
afterEach(async () => {
  await client.close()
  await wire.close()
  await door.close()
})

const REQUEST = { runtime: "python", code: "print(1)" } as const
const finish = (handle: TaskHandle): void => {
  const program = fakeProgram(door.tasks, handle.known as never)
  program.start()
  program.print("stdout", handle.id)
  program.end()
}
/** What was asked before has been answered. */
const answered = async () => {
  for (let turn = 0; turn < 3; turn += 1) await client.system()
}
/** How often the door had no room for a watch. */
const refusals = async (): Promise<number> => {
  const shown = await door.registry.metrics()
  return Number(/^berth_door_call_ms_count\{method="task.watch",error="TOO_MANY"\} (\d+)/m.exec(shown)?.[1])
}
/** That many runs at once, all of them accepted, and as many watched as there is room for. */
const begin = async (count: number) => {
  const handles: TaskHandle[] = []
  const run = () => client.run(REQUEST, { onSubmitted: (handle) => handles.push(handle) })
  const outcomes = Promise.allSettled(Array.from({ length: count }, run))
  await until(() => handles.length === count)
  await answered()
  return { handles, outcomes }
}
const textsOf = (outcomes: readonly PromiseSettledResult<{ readonly stdout: string }>[]) =>
  outcomes.map((outcome) => (outcome.status === "fulfilled" ? outcome.value.stdout : String(outcome.reason))).toSorted()
const idsOf = (handles: readonly TaskHandle[]) => handles.map(({ id }) => id).toSorted()

describe("more runs than watches", () => {
  it("all come to their end, with all that their programs printed, whichever ends first", async () => {
    const { handles, outcomes } = await begin(8)
    for (const handle of handles.toReversed()) finish(handle)
    expect(textsOf(await outcomes)).toEqual(idsOf(handles))
    expect(door.tasks.watching()).toBe(0)
  })

  it("ask for a freed place one at a time, not all of them at once", async () => {
    const { handles, outcomes } = await begin(20)
    const asked = await refusals()
    for (const handle of handles) {
      finish(handle)
      await answered()
    }
    expect(textsOf(await outcomes)).toEqual(idsOf(handles))
    expect((await refusals()) - asked).toBeLessThanOrEqual(handles.length)
  })

  it("also when the connection is lost meanwhile", async () => {
    const { handles, outcomes } = await begin(6)
    wire.cut()
    await until(() => door.tasks.watching() === 2)
    for (const handle of handles) finish(handle)
    expect(textsOf(await outcomes)).toEqual(idsOf(handles))
  })

  it("also when the one whose turn it is has been given up", async () => {
    const first = await begin(2)
    const stop = new AbortController()
    const given = client.run(REQUEST, { signal: stop.signal })
    const last = await begin(1)
    stop.abort(new Error("enough"))
    await expect(given).rejects.toThrow("enough")
    for (const handle of [...first.handles, ...last.handles]) finish(handle)
    expect(textsOf(await last.outcomes)).toEqual(idsOf(last.handles))
    expect(textsOf(await first.outcomes)).toEqual(idsOf(first.handles))
  })

  it("a result waits for a place too, and is there", async () => {
    const { handles, outcomes } = await begin(2)
    const handle = await client.submit(REQUEST)
    const result = handle.result()
    await answered()
    finish(handle)
    for (const each of handles) finish(each)
    expect(await result).toMatchObject({ ok: true })
    expect(textsOf(await outcomes)).toEqual(idsOf(handles))
  })

  it("a watch of one's own is told at once that there is no room, and what had room keeps its claim", async () => {
    const { handles, outcomes } = await begin(2)
    await expect(client.watch(handles[0]?.id ?? "").next()).rejects.toMatchObject({ code: "TOO_MANY" })
    for (const each of handles) finish(each)
    expect(textsOf(await outcomes)).toEqual(idsOf(handles))
    const events = client.watch(handles[0]?.id ?? "")
    expect((await events.next()).value?.type).toBe("state")
    await events.return?.()
  })
})
