/**
 * All tasks that wait for a slot, and whose turn it is. Pure data: no time, no I/O; the dispatcher keeps it and asks it.
 *
 *   WI1. Lanes in order, urgent first; but a lane that waits is served after at most `starvationMax` admissions of higher lanes.
 *   WI2. Within a lane owners take turns, whatever the routes; within an owner the first comes first.
 *   WI3. An owner at its limit is passed over and blocks nobody.
 *   WI4. A task is in the index at most once.
 *   WI5. What was taken and could not be admitted is given back to the places where it stood.
 */
import { LANES, type Lane, laneRank } from "../words.ts"
import type { Route } from "./route.ts"

export interface Waiting {
  readonly taskId: string
  readonly owner: string
  readonly pool: string
  /** Where it may go: tasks of one pool that need different things do not stand in each other's way. */
  readonly route: Route
  readonly lane: Lane
  /** The epoch that an admission of it names. */
  readonly epoch: number
}

interface Line {
  /** When this owner's turn comes, among all owners of its lane, whatever their routes: the smallest goes first. */
  turn: number
  readonly tasks: Map<string, { readonly task: Waiting; readonly ticket: number }>
}

/** One lane of one route: owners, each with its tasks in the order of their coming. Sorted by turn, which only grows. */
class LaneQueue {
  readonly owners = new Map<string, Line>()
  size = 0
  /** Admissions of higher lanes since this lane was served last while it waited. */
  passedOver = 0

  add(task: Waiting, ticket: number): void {
    const line = this.owners.get(task.owner) ?? { turn: ticket, tasks: new Map() }
    line.tasks.set(task.taskId, { task, ticket })
    this.owners.set(task.owner, line)
    this.size += 1
  }

  /** Back to the very front, as if it had never been taken. */
  addFirst(task: Waiting, ticket: number): void {
    const old = this.owners.get(task.owner)?.tasks ?? []
    const line: Line = { turn: ticket, tasks: new Map([[task.taskId, { task, ticket }], ...old]) }
    this.owners.delete(task.owner)
    const others = [...this.owners]
    this.owners.clear()
    for (const [owner, own] of [[task.owner, line] as const, ...others]) this.owners.set(owner, own)
    this.size += 1
  }

  remove(task: Waiting): void {
    const tasks = this.owners.get(task.owner)?.tasks
    if (!tasks?.delete(task.taskId)) return
    this.size -= 1
    if (tasks.size === 0) this.owners.delete(task.owner)
    if (this.size === 0) this.passedOver = 0
  }

  /** The first task of the first owner that may, with its place among other routes. */
  first(mayHold: (owner: string) => boolean): Candidate | null {
    for (const [owner, { tasks, turn }] of this.owners) {
      const first = mayHold(owner) ? tasks.values().next() : undefined
      if (first !== undefined && !first.done) return { task: first.value.task, ticket: first.value.ticket, turn }
    }
    return null
  }

  /** After its turn an owner stands behind all others. */
  toBack(owner: string, turn: number): void {
    const line = this.owners.get(owner)
    if (line === undefined) return
    this.owners.delete(owner)
    line.turn = turn
    this.owners.set(owner, line)
  }
}

interface Candidate {
  readonly task: Waiting
  readonly ticket: number
  readonly turn: number
}

const comesFirst = (a: Candidate, b: Candidate): boolean =>
  a.turn < b.turn || (a.turn === b.turn && a.ticket < b.ticket)

const emptyLanes = (): Record<Lane, LaneQueue> => ({
  urgent: new LaneQueue(),
  high: new LaneQueue(),
  normal: new LaneQueue(),
  low: new LaneQueue(),
})

export class WaitingIndex {
  private readonly starvationMax: number
  private readonly byTask = new Map<string, Waiting>()
  private readonly routes = new Map<string, { readonly route: Route; readonly lanes: Record<Lane, LaneQueue> }>()
  /** The last number given at the back of the lines, and at their front. */
  private back = 0
  private front = 0

  constructor(starvationMax: number) {
    this.starvationMax = starvationMax
  }

  /** Adds a task, or moves it when its lane, route or epoch has changed; its place in the line is kept otherwise. */
  put(task: Waiting): void {
    const old = this.byTask.get(task.taskId)
    if (old !== undefined && old.lane === task.lane && old.epoch === task.epoch && old.route.key === task.route.key)
      return
    this.remove(task.taskId)
    this.byTask.set(task.taskId, task)
    this.back += 1
    this.lanesOf(task.route)[task.lane].add(task, this.back)
  }

  /** Gives back what `take` gave, in that order, to the places where it stood; what came again meanwhile stays there. */
  giveBack(taken: readonly Waiting[]): void {
    for (const task of taken.toReversed()) {
      if (this.byTask.has(task.taskId)) continue
      this.byTask.set(task.taskId, task)
      this.front -= 1
      this.lanesOf(task.route)[task.lane].addFirst(task, this.front)
    }
  }

  remove(taskId: string): void {
    const task = this.byTask.get(taskId)
    if (task === undefined) return
    this.byTask.delete(taskId)
    const line = this.routes.get(task.route.key)
    line?.lanes[task.lane].remove(task)
    if (line !== undefined && LANES.every((lane) => line.lanes[lane].size === 0)) this.routes.delete(task.route.key)
  }

  has(taskId: string): boolean {
    return this.byTask.has(taskId)
  }

  get size(): number {
    return this.byTask.size
  }

  waiting(lane: Lane): number {
    return [...this.routes.values()].reduce((sum, { lanes }) => sum + lanes[lane].size, 0)
  }

  /** Takes the task whose turn it is out of the index, or null when none of these routes may be admitted. */
  take(isOpen: (route: Route) => boolean, mayHold: (owner: string) => boolean): Waiting | null {
    const open = [...this.routes.values()].filter(({ route }) => isOpen(route)).map(({ lanes }) => lanes)
    const starves = (lane: Lane): boolean =>
      open.some((lanes) => lanes[lane].size > 0 && lanes[lane].passedOver >= this.starvationMax)
    for (const lane of [...LANES.filter(starves).reverse(), ...LANES]) {
      const candidates = open.map((lanes) => lanes[lane].first(mayHold)).filter((candidate) => candidate !== null)
      if (candidates.length === 0) continue
      const { task } = candidates.reduce((best, next) => (comesFirst(next, best) ? next : best))
      this.remove(task.taskId)
      this.served(open, lane, task.owner)
      return task
    }
    return null
  }

  private lanesOf(route: Route): Record<Lane, LaneQueue> {
    const line = this.routes.get(route.key) ?? { route, lanes: emptyLanes() }
    this.routes.set(route.key, line)
    return line.lanes
  }

  private served(open: readonly Record<Lane, LaneQueue>[], lane: Lane, owner: string): void {
    this.back += 1
    for (const lanes of open) {
      lanes[lane].passedOver = 0
      lanes[lane].toBack(owner, this.back)
      for (const lower of LANES.slice(laneRank(lane) + 1)) if (lanes[lower].size > 0) lanes[lower].passedOver += 1
    }
  }
}
