/**
 * One simulation: nodes on one log, while calls fail, are late and get lost, and nodes die between any two steps. Embedded, one
 * node follows another on one engine. In a cluster there are several hosts with an engine and a node each, which work at the same
 * time under leases of their own, stand still and go on, and are cut off from the store of leases.
 *
 *   SI1. After every step the invariants hold (invariants.ts).
 *   SI2. Safety: faults all the time. Liveness: the faults end, and then everything comes to rest and nothing is left behind.
 *   SI3. The same seed and the same code give the same hash.
 *   SI4. In a cluster no program runs without its worker's right to run it (rights.ts).
 */
import { Effect, Exit, Scope } from "effect"
import { startNode } from "../../actors/node.ts"
import { resolveConfig } from "../../core/config.ts"
import { NO_TELEMETRY } from "../../core/telemetry.ts"
import { isAtRest } from "../../core/words.ts"
import type { TaskRow } from "../../core/readmodel/row.ts"
import {
  makeMemoryBlobs,
  makeMemoryLeases,
  makeMemoryQueue,
  makeMemoryReadModel,
  makeMemorySignals,
  makeMemoryStore,
  makeMemoryWorkers,
} from "../../store/memory/index.ts"
import { count, makeCalls, type Weather } from "./calls.ts"
import { Client } from "./client.ts"
import { faultsAtRest } from "./atRest.ts"
import { endHandlersOf, Engine } from "./engine.ts"
import { executorOf } from "./executor.ts"
import { Harm, type Host, type Living } from "./harm.ts"
import { Invariants } from "./invariants.ts"
import { clockOf, portsOf } from "./ports.ts"
import { Rights } from "./rights.ts"
import { type Life, Schedule, settle } from "./schedule.ts"

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
const FAULT_CHANCES = [0.01, 0.03, 0.08]
/** Steps with faults, after the last task was asked for. */
const STEPS_WITH_FAULTS_MAX = 1_000
const STEPS_MAX = 60_000
/** After everything rests: what was left behind has been swept by then. */
const SWEPT_MS = 60_000
const SLOTS = 3
const LOOKAHEAD = 2

const LEASE_MS = 5_000

export class Simulation {
  readonly #schedule: Schedule
  readonly #weather: Weather
  readonly #invariants: Invariants
  readonly #client: Client
  readonly #hosts: readonly Host[]
  readonly #rights: Rights
  readonly #harm: Harm
  readonly #leases = makeMemoryLeases()
  readonly #signals = makeMemorySignals()
  readonly #workers = makeMemoryWorkers()
  readonly #isCluster: boolean
  readonly #store = makeMemoryStore()
  readonly #blobs = makeMemoryBlobs().blobs
  /** As a broker's would, this queue outlives its node; with an embedded one every node begins with an empty one. */
  readonly #brokersQueue: ReturnType<typeof makeMemoryQueue> | null
  readonly #tasksMax: number
  #lives = 0

  /** @param nodes - 1: embedded, one node after another; more: a cluster of as many hosts */
  constructor(seed: number, nodes = 1) {
    this.#schedule = new Schedule(seed)
    this.#isCluster = nodes > 1
    // A worker that is gone is counted until its lease has run out, so a cluster has no such bound at every moment.
    this.#invariants = new Invariants(this.#isCluster ? Number.POSITIVE_INFINITY : SLOTS + LOOKAHEAD)
    this.#rights = new Rights(this.#schedule, this.#invariants, LEASE_MS)
    this.#weather = { faultChance: this.#schedule.pick(FAULT_CHANCES), counts: new Map() }
    this.#harm = new Harm(this.#schedule, this.#weather, this.#isCluster, {
      die: (living, how) => this.#die(living, how),
      succeed: (living) => this.#succeed(living),
    })
    this.#tasksMax = this.#schedule.whole(TASKS_MIN, TASKS_MAX)
    this.#client = new Client(this.#schedule, this.#invariants, this.#tasksMax)
    const printed = new Map<string, Uint8Array>()
    this.#hosts = Array.from({ length: nodes }, (_, host) => ({
      engine: new Engine(this.#schedule, `engine-${host + 1}`, printed),
      living: null,
    }))
    this.#brokersQueue = this.#schedule.chance(0.3) || this.#isCluster ? this.#makeQueue(null) : null
  }

  async run(): Promise<Outcome> {
    const violations = this.#invariants.violations
    this.#actAgain()
    let quietSteps = 0
    let restAtMs: number | null = null
    while (violations.length === 0 && this.#schedule.steps < STEPS_MAX) {
      for (const host of this.#hosts) if (host.living === null) this.#begin(host)
      await this.#schedule.step()
      if (this.#isCluster) this.#rights.check(this.#engines)
      this.#invariants.checkSlots(this.#rows)
      if (this.#client.isDone) quietSteps += 1
      if (quietSteps < STEPS_WITH_FAULTS_MAX && this.#weather.faultChance > 0) this.#harm.maybe(this.#living)
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

  get #engines(): readonly Engine[] {
    return this.#hosts.map(({ engine }) => engine)
  }

  get #living(): readonly Living[] {
    return this.#hosts.flatMap(({ living }) => (living === null ? [] : [living]))
  }

  #begin(host: Host): void {
    const life: Life = { name: `n${++this.#lives}`, isOver: false, pausedUntilMs: 0, cutUntilMs: 0, skewMs: 0 }
    const scope = Effect.runSync(Scope.make())
    const living: Living = { life, host, scope, node: null }
    host.living = living
    const stores = makeCalls(this.#schedule, this.#weather, life)
    const engines = makeCalls(this.#schedule, this.#weather, life, "BACKEND_UNAVAILABLE")
    const adapters = {
      log: this.#store.log,
      readModel: this.#isCluster ? makeMemoryReadModel().readModel : this.#store.model.readModel,
      blobs: this.#blobs,
      queue: this.#brokersQueue ?? this.#makeQueue(life),
      signals: this.#isCluster ? this.#signals : makeMemorySignals(),
      workers: this.#isCluster ? this.#workers : makeMemoryWorkers(),
      leases: this.#isCluster ? this.#rights.leasesOf(stores, this.#leases) : null,
    }
    const start = startNode({
      config: resolveConfig({
        slots: SLOTS,
        lookahead: LOOKAHEAD,
        reconcileMs: 2_000,
        retentionMs: 1_000,
        ownerSlotsMax: 4,
        leaseMs: LEASE_MS,
        leaderLeaseMs: 3_000,
      }),
      process: { table: null, pid: 1, startTicks: null },
      clusterId: "c",
      nodeId: life.name,
      version: "0",
      store: "memory",
      executors: (["docker", "handler"] as const).map((kind) => executorOf(this.#schedule, engines, host.engine, kind)),
      handlers: ["run"],
      executorDetail: () => ({}),
      backends: [],
      logger: {
        ...SILENT,
        error: (fields, message) => {
          // Said of what was made and not started, too; whether anything ran is seen at the engines (SI4).
          if (!message.startsWith("nobody knows")) this.#invariants.fail(`${message}: ${JSON.stringify(fields)}`)
        },
      },
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
    endHandlersOf(living.host.engine, living.life)
    if (living.host.living === living) this.#succeed(living)
    // Who had a successor already, because it stood still, may be watched again since it went on.
    else this.#client.reopen(living.life)
  }

  #succeed(living: Living): void {
    this.#client.reopen(living.life)
    living.host.living = null
  }

  #endFaults(): void {
    this.#weather.faultChance = 0
    this.#schedule.note("the faults end")
  }

  /** Somebody outside does something, again and again, until the faults end. */
  #actAgain(): void {
    const readyAtMs = this.#schedule.nowMs + this.#schedule.whole(0, 600)
    const act = (): void => {
      const ready = this.#living.flatMap(({ life, node }) => (node === null ? [] : [{ life, node }]))
      if (ready.length > 0) {
        const { life, node } = this.#schedule.pick(ready)
        this.#client.watchAgain(node, life)
        this.#client.act(node, life)
      }
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
    const nodes = this.#living.flatMap(({ node }) => (node === null ? [] : [node]))
    const { log } = this.#store
    violations.push(...faultsAtRest({ client: this.#client, engines: this.#engines, log, nodes, rows: this.#rows() }))
    this.#invariants.checkJitter()
  }
}

const SILENT = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
