/**
 * One simulation: nodes that follow one another on one log and one engine, while calls fail, are late and get lost, and nodes
 * die between any two steps.
 *
 *   SI1. After every step the invariants hold (invariants.ts).
 *   SI2. Safety: faults all the time. Liveness: the faults end, and then everything comes to rest and nothing is left behind.
 *   SI3. The same seed and the same code give the same hash.
 */
import { Effect, Exit, Scope } from "effect"
import { type BerthNode, startNode } from "../../actors/node.ts"
import { resolveConfig } from "../../core/config.ts"
import { NO_TELEMETRY } from "../../core/telemetry.ts"
import { isAtRest } from "../../core/words.ts"
import { holdsSlot, type TaskRow } from "../../core/readmodel/row.ts"
import {
  makeMemoryBlobs,
  makeMemoryQueue,
  makeMemorySignals,
  makeMemoryStore,
  makeMemoryWorkers,
} from "../../store/memory/index.ts"
import { count, makeCalls, type Weather } from "./calls.ts"
import { Client } from "./client.ts"
import { endHandlersOf, Engine, executorOf } from "./engine.ts"
import { Invariants } from "./invariants.ts"
import { clockOf, portsOf } from "./ports.ts"
import { type Life, Schedule, settle } from "./schedule.ts"
import { faultsOfWatch } from "./watched.ts"

export interface Outcome {
  readonly seed: number
  readonly steps: number
  readonly tasks: number
  readonly lives: number
  readonly faults: Readonly<Record<string, number>>
  readonly hash: string
  readonly violations: readonly string[]
  readonly recent: readonly string[]
}

const TASKS_MIN = 20
const TASKS_MAX = 28
const STEPS_MIN = 300
/** Crashes and stops until the last life, which is left alone. */
const DEATHS_MAX = 6
const DEATH_CHANCE = 0.006
const PAUSE_MS_MAX = 6_000
/** Shorter than two passes of the reconciler: it takes whom it does not know for dead, and the data directory's lock says so. */
const AFTERLIFE_MS_MAX = 1_500
const SKEW_CHANCE = 0.003
const SKEW_MS_MAX = 20_000
const FAULT_CHANCES = [0.01, 0.03, 0.08]
/** Steps with faults, after the last task was asked for. */
const STEPS_WITH_FAULTS_MAX = 1_000
const STEPS_MAX = 60_000
/** After everything rests: what was left behind has been swept by then. */
const SWEPT_MS = 60_000
const SLOTS = 3
const LOOKAHEAD = 2

interface Living {
  readonly life: Life
  readonly scope: Scope.Closeable
  node: BerthNode | null
}

export class Simulation {
  readonly #schedule: Schedule
  readonly #weather: Weather
  readonly #invariants = new Invariants(SLOTS + LOOKAHEAD)
  readonly #client: Client
  readonly #engine: Engine
  readonly #store = makeMemoryStore()
  readonly #blobs = makeMemoryBlobs().blobs
  /** As a broker's would, this queue outlives its node; with an embedded one every node begins with an empty one. */
  readonly #brokersQueue: ReturnType<typeof makeMemoryQueue> | null
  readonly #tasksMax: number
  #living: Living | null = null
  #lives = 0
  #deaths = 0

  constructor(seed: number) {
    this.#schedule = new Schedule(seed)
    this.#weather = { faultChance: this.#schedule.pick(FAULT_CHANCES), counts: new Map() }
    this.#tasksMax = this.#schedule.whole(TASKS_MIN, TASKS_MAX)
    this.#client = new Client(this.#schedule, this.#invariants, this.#tasksMax)
    this.#engine = new Engine(this.#schedule)
    this.#brokersQueue = this.#schedule.chance(0.3) ? this.#makeQueue(null) : null
  }

  async run(): Promise<Outcome> {
    const violations = this.#invariants.violations
    this.#actAgain()
    let quietSteps = 0
    let restAtMs: number | null = null
    while (violations.length === 0 && this.#schedule.steps < STEPS_MAX) {
      if (this.#living === null) this.#begin()
      await this.#schedule.step()
      this.#invariants.checkSlots(this.#rows)
      if (this.#client.isDone) quietSteps += 1
      if (quietSteps < STEPS_WITH_FAULTS_MAX && this.#weather.faultChance > 0) this.#maybeHarm()
      else if (this.#weather.faultChance > 0 && this.#schedule.steps >= STEPS_MIN) this.#endFaults()
      else if (!this.#isAtRest()) restAtMs = null
      else restAtMs ??= this.#schedule.nowMs
      if (restAtMs !== null && this.#schedule.nowMs > restAtMs + SWEPT_MS) break
    }
    if (violations.length === 0) await this.#checkEnd(restAtMs !== null)
    const { recent, seed, steps } = this.#schedule
    this.#store.close()
    return {
      seed,
      steps,
      tasks: this.#client.accepted.size,
      lives: this.#lives,
      faults: Object.fromEntries(this.#weather.counts),
      hash: this.#schedule.digest(),
      violations,
      recent,
    }
  }

  readonly #rows = (): readonly TaskRow[] =>
    (["pending", "running"] as const).flatMap((status) =>
      Effect.runSync(this.#store.model.readModel.scan(status, "", 1_000)),
    )

  #makeQueue(life: Life | null) {
    return makeMemoryQueue(clockOf(this.#schedule, life), { ackWaitMs: 5_000 })
  }

  #begin(): void {
    const life: Life = { name: `n${++this.#lives}`, isOver: false, pausedUntilMs: 0, skewMs: 0 }
    const scope = Effect.runSync(Scope.make())
    const living: Living = { life, scope, node: null }
    this.#living = living
    const stores = makeCalls(this.#schedule, this.#weather, life)
    const engines = makeCalls(this.#schedule, this.#weather, life, "BACKEND_UNAVAILABLE")
    const adapters = {
      log: this.#store.log,
      readModel: this.#store.model.readModel,
      blobs: this.#blobs,
      queue: this.#brokersQueue ?? this.#makeQueue(life),
      signals: makeMemorySignals(),
      workers: makeMemoryWorkers(),
    }
    const start = startNode({
      config: resolveConfig({
        slots: SLOTS,
        lookahead: LOOKAHEAD,
        reconcileMs: 2_000,
        retentionMs: 1_000,
        ownerSlotsMax: 4,
      }),
      clusterId: "c",
      nodeId: life.name,
      version: "0",
      store: "memory",
      executors: (["docker", "handler"] as const).map((kind) =>
        executorOf(this.#schedule, engines, this.#engine, kind),
      ),
      handlers: ["run"],
      executorDetail: () => ({}),
      backends: [],
      logger: { ...SILENT, error: (fields, message) => this.#invariants.fail(`${message}: ${JSON.stringify(fields)}`) },
      telemetry: NO_TELEMETRY,
      onFatal: (reason) => this.#schedule.after(life, 0, () => this.#die(living, `fatal ${reason}`)),
    }).pipe(Effect.provide(portsOf(this.#schedule, stores, adapters, this.#invariants)))
    Effect.runFork(Scope.provide(start, scope)).addObserver((exit) => {
      if (life.isOver) return
      if (Exit.isSuccess(exit)) {
        living.node = exit.value
        this.#client.watchAgain(exit.value, life)
      } else if (exit.cause.reasons.some((reason) => reason._tag === "Die"))
        this.#invariants.fail(`the start crashed: ${String(exit.cause)}`)
      else this.#die(living, "start failed")
    })
  }

  #die(living: Living, how: string): void {
    if (living.life.isOver) return
    this.#schedule.note(`${living.life.name} ${how}`)
    count(this.#weather, how.split(" ")[0] as string)
    this.#schedule.drop(living.life)
    endHandlersOf(this.#engine, living.life)
    if (this.#living === living) this.#succeed()
  }

  /**
   * A process that is stopped for longer than anybody waits: its successor begins, and then it goes on for a moment, until it is
   * told that its time is over.
   */
  #pause(living: Living): void {
    const { life } = living
    this.#schedule.note(`${life.name} paused`)
    count(this.#weather, "paused")
    life.pausedUntilMs = this.#schedule.nowMs + this.#schedule.whole(500, PAUSE_MS_MAX)
    const leftMs = life.pausedUntilMs - this.#schedule.nowMs + this.#schedule.whole(100, AFTERLIFE_MS_MAX)
    this.#schedule.after(null, leftMs, () => this.#die(living, "ended"))
    this.#succeed()
  }

  #succeed(): void {
    this.#client.reopen()
    this.#living = null
  }

  #maybeHarm(): void {
    const living = this.#living
    if (living === null) return
    if (this.#deaths < DEATHS_MAX && this.#schedule.chance(DEATH_CHANCE)) {
      this.#deaths += 1
      if (living.node === null || this.#schedule.chance(0.5)) this.#die(living, "crash")
      else if (this.#schedule.chance(0.6)) this.#pause(living)
      else Effect.runFork(living.node.stop).addObserver(() => this.#die(living, "stopped"))
    }
    if (this.#schedule.chance(SKEW_CHANCE)) {
      living.life.skewMs = this.#schedule.whole(-SKEW_MS_MAX, SKEW_MS_MAX)
      count(this.#weather, "skew")
    }
  }

  #endFaults(): void {
    this.#weather.faultChance = 0
    this.#schedule.note("the faults end")
  }

  /** Somebody outside does something, again and again, until the faults end. */
  #actAgain(): void {
    const readyAtMs = this.#schedule.nowMs + this.#schedule.whole(0, 600)
    const act = (): void => {
      const living = this.#living
      if (living !== null && living.node !== null) this.#client.act(living.node, living.life)
      if (this.#weather.faultChance > 0 || !this.#client.isDone) this.#actAgain()
    }
    this.#schedule.add({ label: "client", life: null, readyAtMs, happen: act })
  }

  #isAtRest(): boolean {
    return (
      this.#client.isDone &&
      this.#client.watches.every(({ isEnded, isOpen }) => isEnded || isOpen) &&
      [...this.#invariants.states.values()].every(({ status }) => isAtRest(status))
    )
  }

  async #checkEnd(rests: boolean): Promise<void> {
    const { states, violations } = this.#invariants
    const say = (what: string): void => this.#invariants.fail(what)
    await settle(20)
    if (!rests) {
      const left = [...states.values()].filter(({ status }) => !isAtRest(status))
      const open = this.#client.watches.filter(({ isEnded }) => !isEnded).map(({ taskId }) => taskId)
      if (left.length === 0) return say(`watches of ${open.join()} never ended; done: ${this.#client.isDone}`)
      return say(`I5: ${left.map(({ id, phase, status }) => `${id} ${status} ${phase}`).join()} came never to rest`)
    }
    this.#invariants.checkJitter()
    for (const id of this.#client.accepted)
      if (Effect.runSync(this.#store.log.last(id)) === null) say(`I1: ${id} was accepted, and is gone`)
    if (this.#engine.places.size > 0) say(`left behind: ${[...this.#engine.places.keys()].join()}`)
    if (this.#rows().some(holdsSlot)) say("I6: a slot is held by nobody")
    const drift = this.#living?.node?.slotDrift() ?? 0
    if (drift !== 0) say(`I6: the leader's fold has drifted by ${drift}`)
    const held = this.#living?.node?.heldCount() ?? 0
    if (held !== 0) say(`the worker holds ${held} tasks that are at rest`)
    for (const watch of this.#client.watches) violations.push(...faultsOfWatch(watch, this.#store.log, this.#engine))
    for (const [id, starts] of this.#engine.starts) if (starts !== 1) say(`${id} was started ${starts} times`)
  }
}

const SILENT = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
