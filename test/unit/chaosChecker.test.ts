/** Does the checker of the chaos drill see what it is there for? Each violation is planted once. */
import { describe, expect, it } from "vitest"
import type { BerthClient, TaskEvent } from "../../gateway/client/index.ts"
import { check } from "../chaos/checker.ts"
import type { Order } from "../chaos/orders.ts"
import { engineSigns, overlaps, type Sign, startsOf } from "../chaos/starts.ts"
import type { Seen } from "../support/engineWitness.ts"

const state = (seq: number, facts: readonly string[], more: object = {}): TaskEvent =>
  ({ type: "state", seq, taskId: "t", facts, task: { status: "running", attempt: 1, epoch: 1, ...more } }) as TaskEvent
const out = (seq: number, text: string, epoch = 1): TaskEvent =>
  ({ type: "output", seq, taskId: "t", epoch, stream: "stdout", bytes: Buffer.from(text) }) as unknown as TaskEvent
const end = (seq: number): TaskEvent => ({ type: "end", seq, taskId: "t", status: "completed" }) as TaskEvent
const submitted = state(1, ["submitted"], { status: "pending" })
const started = state(2, ["started"])
const lost = state(4, ["lost"], { status: "pending" })
const again = state(5, ["started"], { epoch: 2 })
const ended = state(8, ["ended"], { status: "completed" })
const good = [submitted, started, out(5, "line 1\n"), ended, end(8)]
const twice = [submitted, started, lost, again, out(6, "line 1\n", 2), ended, end(8)]
const flagged = twice.map((event) =>
  event === ended ? state(8, ["ended"], { status: "completed", result: { overlapPossible: true } }) : event,
)
const valued = good.map((event) =>
  event === ended ? state(8, ["ended"], { status: "completed", result: { value: "x" } }) : event,
)
const order: Order = {
  word: "w",
  teller: "marks",
  request: { runtime: "bash", code: "" },
  stdout: "line 1\n",
  value: null,
}

interface Scene {
  readonly log?: readonly TaskEvent[] | Error
  readonly watch?: readonly TaskEvent[]
  readonly starts?: readonly number[]
  /** Instead of `starts`. */
  readonly marks?: readonly Sign[]
  readonly teller?: Order["teller"]
  readonly strangers?: readonly Sign[]
}

const start = (epoch: number, taskId = "t"): Sign => ({ type: "start", taskId, epoch })
const stop = (epoch: number, taskId = "t"): Sign => ({ type: "end", taskId, epoch })

const judged = ({ log = good, marks, starts = [1], strangers = [], teller = "marks", watch }: Scene) => {
  const client = {
    watch: async function* () {
      if (log instanceof Error) throw log
      yield* log
    },
  } as unknown as BerthClient
  const watched = { id: "t", order: { ...order, teller }, events: watch ?? (log instanceof Error ? [] : log) }
  const mine = marks ?? starts.flatMap((epoch) => [start(epoch), stop(epoch)])
  return check(
    client,
    [watched],
    teller === "marks" ? { marks: mine, engine: strangers } : { marks: strangers, engine: mine },
  )
}

describe("the checker of the chaos drill", () => {
  it("finds nothing where nothing is wrong", async () => {
    expect(await judged({})).toMatchObject({ violations: [], lost: 0, attempts: 1, ends: 1 })
    const log = [submitted, started, out(3, "li"), lost, again, out(6, "line 1\n", 2), ended, end(8)]
    const verdict = await judged({ log, starts: [1, 2] })
    expect(verdict).toMatchObject({ violations: [], workerLosses: 1, byStatus: { completed: 1 } })
    expect(verdict.told.marks).toEqual({ tasks: 1, startsLogged: 2, startsSeen: 2 })
    // A worker may die after it has said that it starts and before it does.
    expect((await judged({ log, starts: [2] })).violations).toEqual([])
    expect((await judged({ log: flagged, marks: [start(1), start(2), stop(1), stop(2)] })).violations).toEqual([])
    const quarantined = state(6, ["lost", "ended"], { status: "failed", result: { reason: "quarantined" } })
    expect((await judged({ log: [submitted, started, quarantined, end(8)] })).violations).toEqual([])
  })

  it.each<[string, string, Scene]>([
    ["CH1", "is not to be had: NOT_FOUND", { log: Object.assign(new Error("gone"), { code: "NOT_FOUND" }) }],
    ["CH1", "is running", { log: [submitted, started] }],
    ["CH1", "is failed", { log: [submitted, started, state(5, ["ended"], { status: "failed" })] }],
    ["CH2", "2 ends and 1 attempts", { log: [submitted, started, out(3, "line 1\n"), state(4, ["ended"]), ended] }],
    ["CH2", "two starts of one epoch", { log: [submitted, started, state(3, ["started"]), out(5, "line 1\n"), ended] }],
    ["CH3", "in a run that was never started", { starts: [] }],
    ["CH3", "started twice in one epoch: 1,1", { starts: [1, 1] }],
    ["CH3", "epochs that the log does not know: 2", { starts: [1, 2] }],
    ["CH3", "x: was started (engine), and nobody asked", { strangers: [start(1, "x")] }],
    ["CH3", "t: was started (engine), and nobody asked", { strangers: [start(1)] }],
    ["CH4", "was at 8 and saw 2", { watch: [submitted, ended, started, ended] }],
    ["CH4", "saw something else", { watch: [submitted, ended] }],
    ["CH5", 'printed "" instead', { log: [submitted, started, ended, end(8)] }],
    ["CH5", "line 1\\nline 1\\n", { log: [submitted, started, out(3, "line 1\n"), out(5, "line 1\n"), ended, end(8)] }],
    ["CH5", 'printed "li" instead', { log: [submitted, started, lost, again, out(6, "li", 2), ended], starts: [1, 2] }],
    ["CH5", 'the value "x" instead of null', { log: valued }],
    ["CH6", "there at once", { log: twice, marks: [start(1), start(2), stop(1), stop(2)] }],
    ["CH6", "there at once", { log: flagged, marks: [start(1), start(2), stop(1), stop(2)], teller: "engine" }],
  ])("%s says: %s", async (_, words, scene) => {
    expect((await judged(scene)).violations.join("\n")).toContain(words)
  })

  it.each(["is not to be had", "is running"])("CH1 counts as lost what %s", async (how) => {
    const log = how === "is running" ? [submitted, started] : new Error("gone")
    expect((await judged({ log })).lost).toBe(1)
  })
})

describe("the signs of runs", () => {
  const seen = (...events: readonly (readonly [Seen["action"], string])[]): readonly Seen[] =>
    events.map(([action, name], atMs) => ({ action, name, cluster: "c", atMs }))

  it("are the engine's events by task and epoch; a probe of an image is none", () => {
    const first = seen(["create", "berth-a-b-1"], ["start", "berth-a-b-1"], ["start", "berth-probe-c-0a1b2c"])
    const signs = engineSigns([...first, ...seen(["start", "berth-a-b-1"], ["die", "berth-a-b-1"])])
    expect(signs).toEqual([start(1, "a-b"), start(1, "a-b"), stop(1, "a-b")])
    expect(startsOf(signs)).toEqual(new Map([["a-b", [1, 1]]]))
  })

  it.each<[string, readonly Sign[], readonly string[]]>([
    ["one after another do not overlap", [start(1), stop(1), start(2), stop(2)], []],
    ["of two tasks do not overlap", [start(1), start(1, "u"), stop(1), stop(1, "u")], []],
    ["one within the other overlap", [start(1), start(2), stop(2), stop(1)], ["t"]],
    ["of which one was killed tell nothing", [start(1), start(2), stop(2)], []],
  ])("%s", (_, signs, found) => {
    expect([...overlaps(signs)]).toEqual(found)
  })
})
