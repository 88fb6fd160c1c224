/** Workers under leases and a leader over them, on virtual time: each with its own link to the store, which a test may cut. */
import { Effect, Exit, Fiber, Layer, Scope } from "effect"
import { makeTerm } from "../../actors/leader/term.ts"
import { Programs, programsLayer } from "../../actors/programs.ts"
import type { NodePorts } from "../../actors/roles/parts.ts"
import { makeWorkerRole, type WorkerRole } from "../../actors/roles/worker.ts"
import { supervised } from "../../actors/supervised.ts"
import { Turns, turnsLayer } from "../../actors/turns.ts"
import { type BerthError, berthError } from "../../core/errors.ts"
import { Blobs } from "../../core/ports/blobs.ts"
import { EventLog } from "../../core/ports/eventLog.ts"
import type { ExecutorShape } from "../../core/ports/executor.ts"
import type { Leases } from "../../core/ports/leases.ts"
import { Random } from "../../core/ports/random.ts"
import { Signals } from "../../core/ports/signals.ts"
import type { Telemetry } from "../../core/telemetry.ts"
import { makeMemoryLeases } from "../../store/memory/index.ts"
import { makeRig, type RigOptions } from "./actorRig.ts"
import { SILENT } from "./silent.ts"

/** `cut`: nothing arrives. `deaf`: everything arrives, and no answer comes back. */
export type LinkState = "up" | "cut" | "deaf"
export interface Link {
  state: LinkState
}
type LinkLook = Readonly<Link>
/** After that a request counts as lost. */
const REQUEST_MS = 2_000

export interface RigWorker {
  readonly role: WorkerRole
  readonly link: Link
  /** To the leases alone; down together with `link`. */
  readonly leaseLink: Link
  readonly counts: Map<string, number>
  /** Ends it as a crash would: nothing is said to anybody, its containers stay. */
  readonly crash: () => Promise<void>
  readonly stop: () => Promise<void>
}

export function makeLeaseRig(options: RigOptions = {}) {
  const rig = makeRig(options)
  const leases = makeMemoryLeases()
  const unavailable = berthError("STORE_UNAVAILABLE", "the link is down")
  const closers: (() => Promise<void>)[] = []

  const through =
    (link: LinkLook) =>
    <A>(effect: Effect.Effect<A, BerthError>): Effect.Effect<A, BerthError> =>
      Effect.suspend(() => {
        if (link.state === "up") return effect
        const lost = Effect.andThen(rig.clock.sleep(REQUEST_MS), Effect.fail(unavailable))
        return link.state === "cut" ? lost : Effect.andThen(effect, lost)
      })
  /** Every method of a port that answers, over a link. */
  const over = <P extends object>(port: P, link: LinkLook, names: readonly (keyof P)[]): P => {
    const send = through(link)
    const replaced = names.map((name) => {
      const method = port[name]
      const linked =
        typeof method === "function"
          ? (...args: unknown[]) => send((method as (...all: unknown[]) => Effect.Effect<unknown, BerthError>)(...args))
          : send(method as Effect.Effect<unknown, BerthError>)
      return [name, linked]
    })
    return { ...port, ...Object.fromEntries(replaced) }
  }
  const portsOver = (
    link: LinkLook,
    leaseLink: LinkLook = link,
  ): NodePorts & { readonly leases: Leases["Service"] } => {
    const log = over(rig.log, link, ["append", "appendOutput", "last", "after", "readTask", "head"])
    const signals = over(rig.signals, link, ["publish"])
    const services = Effect.runSync(
      Effect.gen(function* () {
        return { turns: yield* Turns, programs: yield* Programs }
      }).pipe(
        Effect.provide(
          Layer.mergeAll(turnsLayer, programsLayer).pipe(
            Layer.provide(
              Layer.mergeAll(
                Layer.succeed(EventLog, log),
                Layer.succeed(Signals, signals),
                Layer.succeed(Random, rig.random),
                Layer.succeed(Blobs, rig.blobs),
              ),
            ),
          ),
        ),
      ),
    )
    return {
      ...rig,
      ...services,
      log,
      signals,
      queue: over(rig.queue, link, ["publish", "pull"]),
      workers: over(rig.workers, link, ["put", "remove", "list"]),
      leases: over(leases, leaseLink, ["acquire", "renew", "revoke", "release", "read", "list"]),
    }
  }

  const startWorker = async (
    executors: readonly ExecutorShape[],
    more: { readonly nodeId?: string; readonly handlers?: readonly string[] } = {},
  ): Promise<RigWorker> => {
    const link: Link = { state: "up" }
    const counts = new Map<string, number>()
    const telemetry: Telemetry = {
      count: (metric, _labels, by = 1) => void counts.set(metric, (counts.get(metric) ?? 0) + by),
      observe: () => {},
    }
    const scope = Effect.runSync(Scope.make())
    const leaseLink: Link = { state: "up" }
    const both: LinkLook = {
      get state() {
        return link.state === "up" ? leaseLink.state : link.state
      },
    }
    const ports = portsOver(link, both)
    const role = await Effect.runPromise(
      Scope.provide(
        Effect.gen(function* () {
          const made = yield* makeWorkerRole(
            {
              config: rig.config,
              clusterId: "c",
              nodeId: more.nodeId ?? "n",
              version: "0",
              startedAtMs: 0,
              store: "memory",
              executors,
              handlers: more.handlers ?? [],
              backends: [],
              executorDetail: () => ({}),
              logger: SILENT,
              telemetry,
              onFatal: (reason) => void counts.set(`fatal ${reason}`, 1),
            },
            ports,
          )
          yield* made.begin
          return made
        }),
        scope,
      ),
    )
    const crash = (): Promise<void> => Effect.runPromise(Scope.close(scope, Exit.void))
    closers.push(crash)
    return {
      role,
      link,
      leaseLink,
      counts,
      crash,
      stop: async () => {
        let isStopped = false
        const stopping = Effect.runPromise(role.stop).then(() => {
          isStopped = true
        })
        // What is just being ended is waited for, and time stands still unless it is moved.
        while (!isStopped) await rig.manual.advance(250)
        await stopping
        await crash()
      },
    }
  }

  /** A leader with a link of its own. */
  const startLeader = async () => {
    const link: Link = { state: "up" }
    const lost: string[] = []
    const workersLost: string[] = []
    const ports = portsOver(link)
    const fresh = Effect.suspend(
      () =>
        makeTerm({
          ...ports,
          config: rig.config,
          node: "leader",
          onAdmitted: () => {},
          onLevel: () => {},
          workerHolds: () => null,
          onWorkerLost: (worker) => void workersLost.push(worker),
          onTaskLost: (taskId) => void lost.push(taskId),
          onNotRemoved: () => undefined,
          onRepair: (taskId, what) => void lost.push(`${taskId} repaired: ${what}`),
        }).run,
    )
    const pause = rig.clock.sleep(500)
    const fiber = Effect.runFork(
      supervised(() => fresh, { name: "leader", clock: rig.clock, onRestart: () => {} }).pipe(
        Effect.catch(() => pause),
        Effect.forever,
      ),
    )
    const stop = (): Promise<void> => Effect.runPromise(Effect.asVoid(Fiber.interrupt(fiber)))
    closers.push(stop)
    await rig.manual.advance(1)
    return { link, lost, workersLost, stop }
  }

  return {
    ...rig,
    leases,
    portsOver,
    startWorker,
    startLeader,
    /** Moves time in small steps until it is so. */
    advanceUntil: async (isSo: () => boolean | Promise<boolean>, what: string, msMax = 120_000): Promise<void> => {
      for (let ms = 0; ms < msMax; ms += 250) {
        if (await isSo()) return
        await rig.manual.advance(250)
      }
      throw new Error(`it never was so: ${what}`)
    },
    close: async (): Promise<void> => {
      for (const close of closers.splice(0).reverse()) await close()
    },
  }
}
