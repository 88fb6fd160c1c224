/** Does the checker of the chaos drill see what it is there for? Each violation is planted once. */
import { describe, expect, it } from "vitest"
import type { TaskEvent } from "../../gateway/client/index.ts"
import { check } from "../chaos/checker.ts"
import type { Watched } from "../chaos/load.ts"
import type { Order } from "../chaos/orders.ts"
import { type Told, worthALook } from "../chaos/secondLook.ts"
import { beginsOf, engineSigns, overlaps, type Sign, startsOf } from "../chaos/starts.ts"
import { sightingOf, type Story } from "../chaos/story.ts"
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
  readonly log?: readonly TaskEvent[] | string
  /** Default: what the log has. */
  readonly watch?: readonly TaskEvent[]
  readonly again?: readonly TaskEvent[] | string
  readonly starts?: readonly number[]
  /** Instead of `starts`. */
  readonly signs?: readonly Sign[]
  readonly teller?: Order["teller"]
  readonly strangers?: readonly Sign[]
  readonly unasked?: string
  readonly other?: Partial<Watched>
  readonly runsOnce?: boolean
}

const sign =
  (type: Sign["type"]) =>
  (epoch: number, taskId = "t"): Sign => ({ type, taskId, epoch })
const [start, begin, stop] = [sign("start"), sign("begin"), sign("end")]
const storyOf = (events: readonly TaskEvent[]): Story => events.flatMap((event) => sightingOf(event) ?? [])
const toldOf = (events: readonly TaskEvent[] | string): Told => (typeof events === "string" ? events : storyOf(events))

const judged = (scene: Scene) => {
  const { log = good, other, runsOnce = false, starts = [1], strangers = [], teller = "marks", unasked } = scene
  const { again = log, signs = starts.flatMap((epoch) => [start(epoch), begin(epoch), stop(epoch)]) } = scene
  const { watch = typeof log === "string" ? [] : log } = scene
  const watched: Watched = { id: "t", order: { ...order, teller }, story: storyOf(watch) }
  const told = new Map(log === "is not in the log" ? [] : [["t", toldOf(log)]])
  if (unasked !== undefined) told.set(unasked, storyOf(good))
  return check([watched, ...(other === undefined ? [] : [{ ...watched, ...other }])], {
    log: told,
    again: [new Map([["t", toldOf(log)]]), new Map([["t", toldOf(again)]])],
    signs: teller === "marks" ? { marks: signs, engine: strangers } : { marks: strangers, engine: signs },
    runsOnce,
  })
}

describe("the checker of the chaos drill", () => {
  it("finds nothing where nothing is wrong", () => {
    expect(judged({})).toMatchObject({ violations: [], lost: 0, attempts: 1, ends: 1, watchedAgain: 1 })
    expect(judged({ teller: "engine", runsOnce: true })).toMatchObject({ violations: [], lost: 0 })
    const log = [submitted, started, out(3, "li"), lost, again, out(6, "line 1\n", 2), ended, end(8)]
    const verdict = judged({ log, starts: [1, 2] })
    expect(verdict).toMatchObject({ violations: [], workerLosses: 1, byStatus: { completed: 1 } })
    expect(verdict.told.marks).toEqual({ tasks: 1, startsLogged: 2, startsSeen: 2, beginsSeen: 2, adoptions: 0 })
    const adopted = [submitted, started, state(3, ["adopted"], { epoch: 2 }), out(5, "line 1\n", 2), ended, end(8)]
    expect(judged({ log: adopted, runsOnce: true })).toMatchObject({
      violations: [],
      told: { marks: { startsLogged: 1, adoptions: 1 } },
    })
    // A worker may die after it has said that it starts and before it does.
    expect(judged({ log, starts: [2] }).violations).toEqual([])
    expect(judged({ log: flagged, signs: [start(1), start(2), stop(1), stop(2)] }).violations).toEqual([])
    const quarantined = state(6, ["lost", "ended"], { status: "failed", result: { reason: "quarantined" } })
    expect(judged({ log: [submitted, started, quarantined, end(8)] }).violations).toEqual([])
    // A container that was not fed has begun nothing.
    const unfed = judged({
      log: twice,
      signs: [start(1), stop(1), start(2), begin(2), stop(2)],
      teller: "engine",
      runsOnce: true,
    })
    expect(unfed.violations).toEqual([])
    expect(unfed.told.engine).toEqual({ tasks: 1, startsLogged: 2, startsSeen: 2, beginsSeen: 1, adoptions: 0 })
  })

  it.each<[string, string, Scene]>([
    ["CH1", "is not to be had: NOT_FOUND", { again: "is not to be had: NOT_FOUND" }],
    ["CH1", "is not in the log", { log: "is not in the log", again: good }],
    ["CH1", "x: is in the log, and nobody asked", { unasked: "x" }],
    ["CH1", "is the task of w and of v", { other: { order: { ...order, word: "v" } } }],
    ["CH1", "is running", { log: [submitted, started] }],
    ["CH1", "is failed", { log: [submitted, started, state(5, ["ended"], { status: "failed" })] }],
    ["CH2", "2 ends and 1 attempts", { log: [submitted, started, out(3, "line 1\n"), state(4, ["ended"]), ended] }],
    ["CH2", "two starts of one epoch", { log: [submitted, started, state(3, ["started"]), out(5, "line 1\n"), ended] }],
    ["CH3", "in a run that was never started", { starts: [] }],
    ["CH3", "started twice in one epoch: 1,1", { starts: [1, 1] }],
    ["CH3", "was started in epochs that the log does not know: 2", { starts: [1, 2] }],
    ["CH3", "began twice in one epoch: 1,1", { signs: [start(1), begin(1), begin(1), stop(1)], teller: "engine" }],
    [
      "CH3",
      "began in epochs that the log does not know: 3",
      { signs: [start(1), begin(3), stop(1)], teller: "engine" },
    ],
    ["CH3", "x: was started (engine), and nobody asked", { strangers: [start(1, "x")] }],
    ["CH3", "t: was started (engine), and nobody asked", { strangers: [start(1)] }],
    ["CH4", "was at 8 and saw 2", { watch: [submitted, ended, started, ended] }],
    ["CH4", "its watch saw something else", { watch: [submitted, ended] }],
    ["CH4", "its watch saw something else", { watch: [submitted, started, out(5, "line 2\n"), ended, end(8)] }],
    ["CH4", "a gateway shows something else", { again: [submitted, ended] }],
    ["CH5", 'printed "" instead', { log: [submitted, started, ended, end(8)] }],
    ["CH5", "line 1\\nline 1\\n", { log: [submitted, started, out(3, "line 1\n"), out(5, "line 1\n"), ended, end(8)] }],
    ["CH5", 'printed "li" instead', { log: [submitted, started, lost, again, out(6, "li", 2), ended], starts: [1, 2] }],
    ["CH5", 'the value "x" instead of null', { log: valued }],
    ["CH6", "there at once", { log: twice, signs: [start(1), start(2), stop(1), stop(2)] }],
    ["CH6", "there at once", { log: flagged, signs: [start(1), start(2), stop(1), stop(2)], teller: "engine" }],
    ["CH7", "began 2 times: 1,2", { log: twice, starts: [1, 2], runsOnce: true }],
    ["CH7", "began 0 times", { signs: [start(1), stop(1)], teller: "engine", runsOnce: true }],
  ])("%s says: %s", (_, words, scene) => {
    expect(judged(scene).violations.join("\n")).toContain(words)
  })

  it.each<[string, Scene]>([
    ["is not in the log", { log: "is not in the log", again: good }],
    ["is running", { log: [submitted, started] }],
    ["no gateway has", { again: "is not to be had" }],
  ])("CH1 counts as lost what %s", (_, scene) => {
    expect(judged(scene).lost).toBe(1)
  })

  it("asks gateways for every task to which something has happened, and for some of the others", () => {
    const plain = storyOf(good)
    const told: readonly Told[] = [plain, plain, plain, storyOf(twice), plain, storyOf([submitted, started]), "is gone"]
    const watched = told.map((_, place): Watched => ({ id: `t${place}`, order, story: plain }))
    const log = new Map(told.map((one, place) => [`t${place}`, one]))
    expect(worthALook([...watched, { id: "none", order, story: plain }], log, 4)).toEqual([
      "t0",
      "t3",
      "t4",
      "t5",
      "t6",
      "none",
    ])
    expect(worthALook(watched, log, 1)).toHaveLength(told.length)
  })

  it("compares the books of 50,000 tasks, looking at each task's once, and finds the one that was tampered with", () => {
    const TASKS = 50_000
    const ids = Array.from({ length: TASKS }, (_, number) => `t${number}`)
    let looks = 0
    const story = storyOf(twice)
    const counted = new (class extends Map<string, Told> {
      override get(id: string): Told | undefined {
        looks += 1
        return super.get(id)
      }
    })(ids.map((id) => [id, story]))
    const watched = ids.map((id): Watched => ({ id, order: { ...order, word: id }, story: storyOf(twice) }))
    const marks = ids.flatMap((id) => [start(1, id), stop(1, id), start(2, id), stop(2, id)])
    const accounts = { log: counted, again: [counted, counted], signs: { marks, engine: [] }, runsOnce: false }
    expect(check(watched, accounts)).toMatchObject({ violations: [], lost: 0, ends: TASKS, watchedAgain: TASKS })
    expect(looks).toBe(3 * TASKS)
    const tampered = { ...accounts, signs: { marks: [...marks, start(2, "t31000")], engine: [] } }
    const { violations } = check(watched, tampered)
    expect(violations).toHaveLength(1)
    expect(violations[0]).toContain("t31000 (t31000, marks): was started twice in one epoch: 1,2,2")
  })
})

describe("the signs of runs", () => {
  const seen = (...events: readonly (readonly [Seen["action"], string])[]): readonly Seen[] =>
    events.map(([action, name], atMs) => ({ action, name, cluster: "c", atMs }))

  it("are the engine's events by task and epoch; a probe of an image is none", () => {
    const first = seen(["create", "berth-a-b-1"], ["start", "berth-a-b-1"], ["start", "berth-probe-c-0a1b2c"])
    const signs = engineSigns([
      ...first,
      ...seen(["start", "berth-a-b-1"], ["speak", "berth-a-b-1"], ["die", "berth-a-b-1"]),
    ])
    expect(signs).toEqual([start(1, "a-b"), start(1, "a-b"), begin(1, "a-b"), stop(1, "a-b")])
    expect(startsOf(signs)).toEqual(new Map([["a-b", [1, 1]]]))
    expect(beginsOf(signs)).toEqual(new Map([["a-b", [1]]]))
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
