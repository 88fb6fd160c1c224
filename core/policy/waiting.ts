/**
 * All tasks that wait for a slot, and whose turn it is. Pure data: no time, no I/O; the dispatcher keeps it and asks it.
 *
 *   WI1. Lanes in order, urgent first; but a lane that waits is served after at most `starvationMax` admissions of higher lanes.
 *   WI2. Within a lane owners take turns; within an owner the first comes first.
 *   WI3. An owner at its limit is passed over and blocks nobody.
 *   WI4. A task is in the index at most once.
 */
import { LANES, type Lane, laneRank } from "../words.ts"

export interface Waiting {
  readonly taskId: string
  readonly owner: string
  readonly pool: string
  /** Where it may go: tasks of one pool that need different backends do not stand in each other's way. */
  readonly route: string
  readonly lane: Lane
  /** The epoch that an admission of it names. */
  readonly epoch: number
}

/** One lane of one route: owners in the order of their turns, each with its tasks in the order of their coming. */
class LaneQueue {
  readonly owners = new Map<string, Map<string, Waiting>>()
  size = 0
  /** Admissions of higher lanes since this lane was served last while it waited. */
  passedOver = 0

  add(task: Waiting): void {
    const tasks = this.owners.get(task.owner) ?? new Map<string, Waiting>()
    tasks.set(task.taskId, task)
    this.owners.set(task.owner, tasks)
    this.size += 1
  }

  remove(task: Waiting): void {
    const tasks = this.owners.get(task.owner)
    if (!tasks?.delete(task.taskId)) return
    this.size -= 1
    if (tasks.size === 0) this.owners.delete(task.owner)
  }

  /** The first task of the first owner that may; that owner's next turn comes after all others'. */
  take(mayHold: (owner: string) => boolean): Waiting | null {
    for (const [owner, tasks] of this.owners) {
      const first = mayHold(owner) ? tasks.values().next() : undefined
      if (first === undefined || first.done) continue
      this.remove(first.value)
      if (this.owners.delete(owner)) this.owners.set(owner, tasks)
      return first.value
    }
    return null
  }
}

const emptyLanes = (): Record<Lane, LaneQueue> => ({
  urgent: new LaneQueue(),
  high: new LaneQueue(),
  normal: new LaneQueue(),
  low: new LaneQueue(),
})

export class WaitingIndex {
  private readonly starvationMax: number
  private readonly byTask = new Map<string, Waiting>()
  private readonly routes = new Map<string, Record<Lane, LaneQueue>>()

  constructor(starvationMax: number) {
    this.starvationMax = starvationMax
  }

  /** Adds a task, or moves it when its lane, route or epoch has changed; its place in the line is kept otherwise. */
  put(task: Waiting): void {
    const old = this.byTask.get(task.taskId)
    if (old !== undefined && old.lane === task.lane && old.epoch === task.epoch && old.route === task.route) return
    this.remove(task.taskId)
    this.byTask.set(task.taskId, task)
    const lanes = this.routes.get(task.route) ?? emptyLanes()
    this.routes.set(task.route, lanes)
    lanes[task.lane].add(task)
  }

  remove(taskId: string): void {
    const task = this.byTask.get(taskId)
    if (task === undefined) return
    this.byTask.delete(taskId)
    this.routes.get(task.route)?.[task.lane].remove(task)
  }

  has(taskId: string): boolean {
    return this.byTask.has(taskId)
  }

  get size(): number {
    return this.byTask.size
  }

  waiting(lane: Lane): number {
    return [...this.routes.values()].reduce((sum, lanes) => sum + lanes[lane].size, 0)
  }

  /** Takes the task whose turn it is out of the index, or null when none of these routes may be admitted. */
  take(routes: readonly string[], mayHold: (owner: string) => boolean): Waiting | null {
    const open = routes.map((route) => this.routes.get(route)).filter((lanes) => lanes !== undefined)
    const starves = (lane: Lane): boolean =>
      open.some((lanes) => lanes[lane].size > 0 && lanes[lane].passedOver >= this.starvationMax)
    for (const lane of [...LANES.filter(starves).reverse(), ...LANES]) {
      for (const lanes of open) {
        const task = lanes[lane].take(mayHold)
        if (task === null) continue
        this.byTask.delete(task.taskId)
        this.served(open, lane)
        return task
      }
    }
    return null
  }

  private served(open: readonly Record<Lane, LaneQueue>[], lane: Lane): void {
    for (const lanes of open) {
      lanes[lane].passedOver = 0
      for (const lower of LANES.slice(laneRank(lane) + 1)) if (lanes[lower].size > 0) lanes[lower].passedOver += 1
    }
  }
}

/** Which backend a kind of program needs. */
export const backendOf = (kind: string): "container" | "handler" => (kind === "handler" ? "handler" : "container")
export const routeOf = (pool: string, kind: string): string => `${pool}/${backendOf(kind)}`
