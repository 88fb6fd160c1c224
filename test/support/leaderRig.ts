/** A dispatcher over the ports in memory, and what it wrote. */
import { Effect, Fiber, Stream } from "effect"
import { afterEach } from "vitest"
import { type Dispatcher, type DispatcherDeps, makeDispatcher } from "../../actors/leader/dispatcher.ts"
import type { WakeUp } from "../../core/ports/queue.ts"
import { CONTROL_SUBJECT, type ControlRecord, type LogEntry } from "../../core/record.ts"
import type { TaskSpec } from "../../core/task/spec.ts"
import { makeRig, type Rig, type RigOptions, workerInfo } from "./actorRig.ts"
import { settle } from "./clock.ts"

export interface Led {
  readonly rig: Rig
  readonly dispatcher: Dispatcher
  /** Ends when the leader does, with the code of its failure. */
  readonly ended: Promise<string>
  readonly stop: () => Promise<void>
}
const running: Led[] = []
/** Ends every leader that a test began. */
export const endLeaders = (): void => {
  afterEach(async () => {
    for (const { stop } of running.splice(0)) await stop()
  })
}

export const lead = async (rig: Rig, more: Partial<DispatcherDeps> = {}): Promise<Led> => {
  const dispatcher = makeDispatcher({
    ...rig,
    isAlone: true,
    node: "n1",
    onAdmitted: () => {},
    onEntries: () => {},
    ...more,
  })
  const fiber = Effect.runFork(dispatcher.run)
  const end = Effect.runPromise(Fiber.await(fiber)).then((exit) =>
    exit._tag === "Failure" ? (JSON.stringify(exit.cause).match(/"code":"(\w+)"/)?.[1] ?? "interrupted") : "ended",
  )
  const led = { rig, dispatcher, ended: end, stop: () => Effect.runPromise(Fiber.interrupt(fiber)) as Promise<void> }
  running.push(led)
  await settle()
  return led
}
export const leaderRig = async (options: RigOptions = {}, slots = 4): Promise<Rig> => {
  const rig = makeRig(options)
  await rig.run(rig.workers.put(workerInfo({ slots })))
  return rig
}
export const submit = async (
  rig: Rig,
  count: number,
  owner = "ann",
  spec: Partial<TaskSpec> = {},
  from = 0,
): Promise<void> => {
  for (let n = from; n < from + count; n += 1) await rig.submit({ id: `${owner}${n}`, owner, spec })
}
export const admissionsOf = (entries: readonly LogEntry[]): readonly string[] =>
  entries
    .flatMap(({ record }) => (record.kind === "control" ? [(record as ControlRecord).fact] : []))
    .flatMap((fact) => (fact.type === "admitted" ? fact.admissions.map(({ taskId }) => taskId) : []))
export const controlOf = async (rig: Rig): Promise<readonly LogEntry[]> => {
  const entries: LogEntry[] = []
  for (let seq = 0; ; ) {
    const next = await rig.run(rig.store.log.after(CONTROL_SUBJECT, seq))
    if (next === null) return entries
    entries.push(next)
    seq = next.seq
  }
}
export const admitted = async (rig: Rig): Promise<readonly string[]> => admissionsOf(await controlOf(rig))
export const pullAll = async (rig: Rig): Promise<readonly WakeUp[]> => {
  const waiting = await rig.run(rig.queue.waiting("default"))
  const count = Object.values(waiting).reduce((sum, n) => sum + n, 0)
  return count === 0 ? [] : (await rig.run(rig.queue.pull("default", count, 0))).map(({ wakeUp }) => wakeUp)
}

/** A feed of which nothing comes before `gate` is open. */
export const gated = <A, E>(feed: Stream.Stream<A, E>, gate: Promise<void>): Stream.Stream<A, E> =>
  Stream.mapEffect(feed, (entries) =>
    Effect.as(
      Effect.promise(() => gate),
      entries,
    ),
  )
