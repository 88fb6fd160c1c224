/** What befalls nodes beside the failing of calls: they die, are stopped, stand still, are cut off, and their wall clocks leap. */
import { Effect, type Scope } from "effect"
import type { BerthNode } from "../../actors/node.ts"
import { count, type Weather } from "./calls.ts"
import type { Engine } from "./engine.ts"
import type { Life, Schedule } from "./schedule.ts"

/** Crashes and stops until the last life, which is left alone. */
const DEATHS_MAX = 6
const DEATH_CHANCE = 0.006
const PAUSE_MS_MAX = 6_000
/** Shorter than two passes of the reconciler: it takes whom it does not know for dead, and the data directory's lock says so. */
const AFTERLIFE_MS_MAX = 1_500
const SKEW_CHANCE = 0.003
const SKEW_MS_MAX = 20_000
/** In a cluster, between two steps and for one node. */
const CUT_CHANCE = 0.002
const CUT_MS_MAX = 15_000
const STANDSTILL_CHANCE = 0.003
const STANDSTILL_MS_MAX = 15_000

/** A machine: its engine outlives the nodes that run on it one after another. */
export interface Host {
  readonly engine: Engine
  living: Living | null
}

export interface Living {
  readonly life: Life
  readonly host: Host
  readonly scope: Scope.Closeable
  node: BerthNode | null
}

export interface Fates {
  readonly die: (living: Living, how: string) => void
  /** Its successor may begin. */
  readonly succeed: (living: Living) => void
}

export class Harm {
  readonly #schedule: Schedule
  readonly #weather: Weather
  readonly #isCluster: boolean
  readonly #fates: Fates
  #deaths = 0

  constructor(schedule: Schedule, weather: Weather, isCluster: boolean, fates: Fates) {
    this.#schedule = schedule
    this.#weather = weather
    this.#isCluster = isCluster
    this.#fates = fates
  }

  /** Between two steps: most of the time nothing. */
  maybe(all: readonly Living[]): void {
    if (all.length === 0) return
    const living = this.#schedule.pick(all)
    if (this.#isCluster && this.#schedule.chance(CUT_CHANCE)) {
      living.life.cutUntilMs = this.#schedule.nowMs + this.#schedule.whole(500, CUT_MS_MAX)
      count(this.#weather, "cut")
    }
    if (this.#isCluster && this.#schedule.chance(STANDSTILL_CHANCE)) this.#standStill(living)
    if (this.#deaths < DEATHS_MAX && this.#schedule.chance(DEATH_CHANCE)) {
      this.#deaths += 1
      if (living.node === null || this.#schedule.chance(0.5)) this.#fates.die(living, "crash")
      else if (!this.#isCluster && this.#schedule.chance(0.6)) this.#pause(living)
      else Effect.runFork(living.node.stop).addObserver(() => this.#fates.die(living, "stopped"))
    }
    if (this.#schedule.chance(SKEW_CHANCE)) {
      living.life.skewMs = this.#schedule.whole(-SKEW_MS_MAX, SKEW_MS_MAX)
      count(this.#weather, "skew")
    }
  }

  /** A process that stands still and goes on as if nothing had been. */
  #standStill({ life }: Living): void {
    this.#schedule.note(`${life.name} stands still`)
    count(this.#weather, "stoodStill")
    life.pausedUntilMs = this.#schedule.nowMs + this.#schedule.whole(500, STANDSTILL_MS_MAX)
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
    this.#schedule.after(null, leftMs, () => this.#fates.die(living, "ended"))
    this.#fates.succeed(living)
  }
}
