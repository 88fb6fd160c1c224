/**
 * The actors that exist once in a cluster, as long as one term of leadership lasts: dispatcher, timers, reconciler, retention,
 * and, in a cluster, the watches over the workers' leases and over the level of records.
 * They share one fold, so they begin and end together; whoever runs the term starts a fresh one.
 */
import { Effect } from "effect"
import type { BerthError } from "../../core/errors.ts"
import { type Dispatcher, type DispatcherDeps, makeDispatcher } from "./dispatcher.ts"
import { type LevelWatchDeps, makeLevelWatch } from "./levelWatch.ts"
import { type LossWatchDeps, makeLossWatch } from "./lossWatch.ts"
import { makeReconciler, type Reconciler, type ReconcilerDeps } from "./reconciler.ts"
import { makeRetention, type RetentionDeps, type TermRetentionDeps } from "./retention.ts"
import { makeTimers, type Timers, type TimersDeps } from "./timers.ts"

export type TermDeps = Omit<DispatcherDeps, "onEntries" | "isAlone"> &
  TimersDeps &
  Omit<ReconcilerDeps, "dispatcher"> &
  LossWatchDeps &
  LevelWatchDeps &
  RetentionDeps &
  Pick<TermRetentionDeps, "onNotRemoved">

export interface Term {
  readonly dispatcher: Dispatcher
  readonly timers: Timers
  readonly reconciler: Reconciler
  /** Runs until one of the actors fails. */
  readonly run: Effect.Effect<never, BerthError>
}

export function makeTerm(deps: TermDeps): Term {
  const timers = makeTimers(deps)
  const dispatcher = makeDispatcher({ ...deps, isAlone: deps.leases === null, onEntries: timers.onEntries })
  const reconciler = makeReconciler({ ...deps, dispatcher })
  const retention = makeRetention({ ...deps, ...dispatcher })
  const watches =
    deps.leases === null
      ? []
      : [makeLossWatch(deps, deps.leases).run, makeLevelWatch({ ...deps, ...dispatcher }, deps.leases).run]
  const run = Effect.raceAllFirst([dispatcher.run, timers.run, reconciler.run, retention.run, ...watches])
  return { dispatcher, timers, reconciler, run }
}
