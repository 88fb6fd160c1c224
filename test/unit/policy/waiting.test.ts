/** Whose turn is it? The index against a model that looks at everything, every time. */
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type Route, routeOf } from "../../../core/policy/route.ts"
import { type Waiting, WaitingIndex } from "../../../core/policy/waiting.ts"
import { LANES, type Lane, laneRank } from "../../../core/words.ts"

const routed = (kind: "image" | "runtime"): Route => routeOf({ pool: "default", kind, target: "" })
const ROUTES = [routed("image"), routed("runtime")] as const
const within =
  (routes: readonly Route[]) =>
  (route: Route): boolean =>
    routes.includes(route)

const waiting = (taskId: string, more: Partial<Waiting> = {}): Waiting => ({
  taskId,
  owner: "ann",
  pool: "default",
  route: ROUTES[0],
  lane: "normal",
  epoch: 1,
  ...more,
})

interface Place extends Waiting {
  readonly ticket: number
}

/** A list, and for every owner of a lane when it was served last there. */
class Model {
  places: Place[] = []
  private tickets = 0
  /** By lane, route and owner: since when the owner stands in line there. */
  private readonly turns = new Map<string, number>()
  private readonly passedOver = new Map<string, number>()
  private readonly starvationMax: number

  constructor(starvationMax: number) {
    this.starvationMax = starvationMax
  }

  put(task: Waiting): void {
    const old = this.places.find(({ taskId }) => taskId === task.taskId)
    if (old?.lane === task.lane && old.epoch === task.epoch && old.route === task.route) return
    this.remove(task.taskId)
    this.tickets += 1
    if (!this.places.some((place) => key(place) === key(task))) this.turns.set(key(task), this.tickets)
    this.places.push({ ...task, ticket: this.tickets })
  }

  remove(taskId: string): void {
    const old = this.places.find((place) => place.taskId === taskId)
    this.places = this.places.filter((place) => place !== old)
    if (old !== undefined && !this.places.some((place) => laneKey(place) === laneKey(old)))
      this.passedOver.set(laneKey(old), 0)
  }

  take(routes: readonly Route[], mayHold: (owner: string) => boolean): Waiting | null {
    const open = this.places.filter(({ route }) => routes.includes(route))
    const starving = LANES.filter((lane) =>
      open.some((place) => place.lane === lane && (this.passedOver.get(laneKey(place)) ?? 0) >= this.starvationMax),
    )
    for (const lane of [...starving.toReversed(), ...LANES]) {
      const allowed = open.filter((place) => place.lane === lane && mayHold(place.owner))
      const turn = (place: Place): number => this.turns.get(key(place)) ?? 0
      const [first] = allowed.toSorted((a, b) => turn(a) - turn(b) || a.ticket - b.ticket)
      if (first === undefined) continue
      this.remove(first.taskId)
      this.tickets += 1
      for (const route of routes) {
        this.turns.set(key({ ...first, route }), this.tickets)
        this.passedOver.set(laneKey({ lane, route }), 0)
        for (const lower of LANES.slice(laneRank(lane) + 1))
          if (this.places.some((place) => place.lane === lower && place.route === route))
            this.passedOver.set(
              laneKey({ lane: lower, route }),
              (this.passedOver.get(laneKey({ lane: lower, route })) ?? 0) + 1,
            )
      }
      return first
    }
    return null
  }
}
const key = ({ lane, owner, route }: Pick<Waiting, "lane" | "owner" | "route">): string =>
  `${lane} ${route.key} ${owner}`
const laneKey = ({ lane, route }: Pick<Waiting, "lane" | "route">): string => `${lane} ${route.key}`

const tasks = fc.record({
  taskId: fc.nat({ max: 60 }).map((n) => `t${n}`),
  owner: fc.constantFrom("ann", "ann", "bob", "cy"),
  route: fc.constantFrom(...ROUTES),
  // Most in one lane, so that owners stand in line there.
  lane: fc.constantFrom("normal", "normal", "normal", "normal", ...LANES),
  epoch: fc.constantFrom(1, 1, 1, 2),
})
const steps = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.record({ type: fc.constant("put" as const), task: tasks }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant("remove" as const), task: tasks }) },
    {
      weight: 4,
      arbitrary: fc.record({
        type: fc.constant("take" as const),
        routes: fc.constantFrom<readonly Route[]>([ROUTES[0]], [ROUTES[1]], ROUTES),
        limited: fc.constantFrom([], [], ["ann"], ["ann", "bob", "cy"]),
      }),
    },
  ),
  { minLength: 20, maxLength: 150, size: "max" },
)

describe("does the index agree with the model?", () => {
  it("WI1-WI4: every take, whatever was put, removed, limited and closed before", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), steps, (starvationMax, history) => {
        const index = new WaitingIndex(starvationMax)
        const model = new Model(starvationMax)
        const ownerOf = new Map<string, string>()
        for (const step of history) {
          if (step.type === "put") {
            // A task keeps its owner for life.
            const owner = ownerOf.get(step.task.taskId) ?? step.task.owner
            ownerOf.set(step.task.taskId, owner)
            const task = { ...step.task, owner, pool: "default" }
            index.put(task)
            model.put(task)
          } else if (step.type === "remove") {
            index.remove(step.task.taskId)
            model.remove(step.task.taskId)
          } else {
            const mayHold = (owner: string): boolean => !step.limited.some((name) => name === owner)
            const taken = index.take(within(step.routes), mayHold)
            expect(taken?.taskId ?? null).toBe(model.take(step.routes, mayHold)?.taskId ?? null)
            if (taken !== null) expect(index.has(taken.taskId)).toBe(false)
          }
          expect(index.size).toBe(model.places.length)
          for (const lane of LANES)
            expect(index.waiting(lane)).toBe(model.places.filter((place) => place.lane === lane).length)
        }
      }),
      { numRuns: 120 },
    )
  })
})

describe("who is served, and after how long?", () => {
  const all = within(ROUTES)
  const anybody = () => true

  it("WI1: a low lane that waits is served after exactly `starvationMax` admissions of higher lanes", () => {
    const index = new WaitingIndex(5)
    for (let n = 0; n < 20; n += 1) index.put(waiting(`u${n}`, { lane: "urgent" }))
    index.put(waiting("low", { lane: "low" }))
    const order = Array.from({ length: 6 }, () => index.take(all, anybody)?.taskId)
    expect(order).toEqual(["u0", "u1", "u2", "u3", "u4", "low"])
  })

  it("WI1: with every lane full no lane waits longer than the bound", () => {
    const index = new WaitingIndex(3)
    for (const lane of LANES) for (let n = 0; n < 200; n += 1) index.put(waiting(`${lane}${n}`, { lane }))
    const since = new Map<Lane, number>(LANES.map((lane) => [lane, 0]))
    for (let n = 0; n < 400; n += 1) {
      const taken = index.take(all, anybody)
      if (taken === null) throw new Error("nothing was taken")
      for (const lane of LANES.slice(laneRank(taken.lane) + 1)) since.set(lane, (since.get(lane) ?? 0) + 1)
      since.set(taken.lane, 0)
      for (const lane of LANES) expect(since.get(lane)).toBeLessThanOrEqual(3 + LANES.length)
    }
  })

  it("WI2: owners take turns however many tasks each has, also when they need different backends", () => {
    const index = new WaitingIndex(64)
    for (let n = 0; n < 50; n += 1) index.put(waiting(`a${n}`))
    index.put(waiting("b0", { owner: "bob", route: ROUTES[1] }))
    index.put(waiting("b1", { owner: "bob", route: ROUTES[1] }))
    const order = Array.from({ length: 5 }, () => index.take(all, anybody)?.taskId)
    expect(order).toEqual(["a0", "b0", "a1", "b1", "a2"])
  })

  it("WI3: an owner at its limit blocks nobody and loses no place", () => {
    const index = new WaitingIndex(64)
    for (const taskId of ["a0", "a1"]) index.put(waiting(taskId))
    index.put(waiting("b0", { owner: "bob" }))
    expect(index.take(all, (owner) => owner !== "ann")?.taskId).toBe("b0")
    expect(index.take(all, (owner) => owner !== "ann")).toBeNull()
    expect(index.take(all, anybody)?.taskId).toBe("a0")
  })

  it("WI4: putting again changes nothing; another lane moves it", () => {
    const index = new WaitingIndex(64)
    for (const taskId of ["a0", "a1", "a0"]) index.put(waiting(taskId))
    expect(index.size).toBe(2)
    expect(index.take(all, anybody)?.taskId).toBe("a0")
    index.put(waiting("a2"))
    index.put(waiting("a2", { lane: "urgent" }))
    expect(index.size).toBe(2)
    expect(index.take(all, anybody)?.taskId).toBe("a2")
  })

  it("WI5: what is given back comes again in the same order, and before all others", () => {
    fc.assert(
      fc.property(fc.array(tasks, { maxLength: 40 }), fc.nat({ max: 20 }), (some, count) => {
        const index = new WaitingIndex(1_000)
        const seen = new Set<string>()
        for (const task of some) {
          if (seen.has(task.taskId)) continue
          seen.add(task.taskId)
          index.put({ ...task, pool: "default" })
        }
        const taken: Waiting[] = []
        for (let n = 0; n < count; n += 1) {
          const next = index.take(all, anybody)
          if (next !== null) taken.push(next)
        }
        const rest = index.size
        index.giveBack(taken)
        expect(index.size).toBe(rest + taken.length)
        expect(taken.map(() => index.take(all, anybody)?.taskId)).toEqual(taken.map(({ taskId }) => taskId))
      }),
      { numRuns: 300 },
    )
  })

  it("WI5: what came again meanwhile, with another lane, stays as it came", () => {
    const index = new WaitingIndex(64)
    index.put(waiting("a0"))
    const taken = index.take(all, anybody)
    index.put(waiting("a0", { lane: "high" }))
    index.giveBack(taken === null ? [] : [taken])
    expect(index.size).toBe(1)
    expect(index.take(all, anybody)?.lane).toBe("high")
  })
})
