/** Does everybody learn that a backend went away and came back? */
import { Effect, Exit, Scope, Stream } from "effect"
import { Registry } from "prom-client"
import { describe, expect, it } from "vitest"
import type { BackendEvent, WatchEvent } from "../../../actors/api.ts"
import { tellBackends } from "../../../actors/backends.ts"
import { makeBackend } from "../../../actors/executor/stack/backend.ts"
import { SharedRetryBudget } from "../../../actors/executor/stack/retryBudget.ts"
import { guardedBlobs } from "../../../actors/guardedBlobs.ts"
import type { BerthNode } from "../../../actors/node.ts"
import { watchAll } from "../../../actors/watchAll.ts"
import { type BerthError, berthError } from "../../../core/errors.ts"
import { RETRY_BUDGET_LIMITS } from "../../../core/policy/retryBudget.ts"
import type { Blobs } from "../../../core/ports/blobs.ts"
import { nodeGauges, prometheus } from "../../../gateway/main/telemetry.ts"
import { toWireEvent } from "../../../gateway/server/subscriptions.ts"
import { readEvent } from "../../../gateway/client/events.ts"
import { makeRig } from "../../support/actorRig.ts"
import { manualClock, seededRandom, settle } from "../../support/clock.ts"
import { callOf, unavailable } from "../../support/engineCall.ts"
import { SILENT } from "../../support/silent.ts"
import { streamOf } from "../../support/watching.ts"

const backendOf = (name: string) => {
  const clock = manualClock()
  const backend = makeBackend(name, {
    clock,
    random: seededRandom(1),
    budget: new SharedRetryBudget(RETRY_BUDGET_LIMITS, clock),
    breaker: { consecutiveFailuresMax: 1, successesToClose: 1 },
  })
  const call = (run: Effect.Effect<void, BerthError>) => Effect.runPromiseExit(backend.guard(callOf(), run))
  return { clock, backend, call }
}

describe("a change of a breaker", () => {
  it("is counted, written down, and told to whoever watches all tasks, until the node stops", async () => {
    const rig = makeRig({ live: true })
    const { backend, call, clock } = backendOf("docker")
    const registry = new Registry()
    const lines: string[] = []
    const line = (level: string) => (fields: object, message: string) =>
      void lines.push(`${level} ${message} ${(fields as BackendEvent).to}`)
    const scope = Effect.runSync(Scope.make())
    const told = tellBackends(
      {
        nodeId: "n1",
        backends: [backend],
        logger: { ...SILENT, warn: line("warn"), info: line("info") },
        telemetry: prometheus(registry),
      },
      rig.signals,
    )
    await Effect.runPromise(Scope.provide(told, scope))
    nodeGauges(
      registry,
      {
        heldCount: () => 0,
        slotDrift: () => 0,
        waitingIn: () => 0,
        info: Effect.succeed({ headSeq: 0, checkpointSeq: 0 }),
      } as unknown as BerthNode,
      [backend],
    )
    const events: (WatchEvent | BackendEvent)[] = []
    Effect.runFork(
      Stream.runForEach(streamOf(watchAll(rig, 0, () => false)), (event) => Effect.sync(() => void events.push(event))),
    )
    await settle()
    await call(Effect.fail(unavailable("gone")))
    await settle()
    const open = await registry.metrics()
    await clock.advance(1_000)
    await call(Effect.void)
    await settle()
    expect(events).toMatchObject([
      { type: "backend", seq: null, node: "n1", backend: "docker", from: "closed", to: "open", lastFailure: "gone" },
      { from: "open", to: "half-open" },
      { from: "half-open", to: "closed" },
    ])
    for (const event of events) expect(readEvent(JSON.parse(JSON.stringify(toWireEvent(event))))).toEqual(event)
    expect(lines).toEqual([
      "warn backend changed open",
      "info backend changed half-open",
      "info backend changed closed",
    ])
    expect(open).toContain('berth_backend_changes_total{backend="docker",to="open"} 1')
    expect(open).toContain('berth_backend_accepting{backend="docker"} 0')
    expect(await registry.metrics()).toContain('berth_backend_accepting{backend="docker"} 1')
    await Effect.runPromise(Scope.close(scope, Exit.void))
    await call(Effect.fail(unavailable()))
    await settle()
    expect(events).toHaveLength(3)
  })
})

describe("a store of blobs", () => {
  const scene = (broken: { error: BerthError | null }) => {
    let calls = 0
    const answer = Effect.suspend(() => {
      calls++
      return broken.error === null ? Effect.succeed(null) : Effect.fail(broken.error)
    })
    const blobs = { bytesMax: 7, put: () => Effect.asVoid(answer), get: () => answer } as unknown as Blobs["Service"]
    const { backend, clock } = backendOf("blobs")
    return { blobs: guardedBlobs(blobs, backend.guard), backend, clock, calls: () => calls }
  }

  it("that fails is left alone for a while, under the name that its callers know, and used again when it is back", async () => {
    const broken: { error: BerthError | null } = { error: berthError("STORE_UNAVAILABLE", "the disk is away") }
    const { backend, blobs, calls, clock } = scene(broken)
    const first = await Effect.runPromise(Effect.flip(blobs.get("a")))
    expect(first).toMatchObject({ code: "STORE_UNAVAILABLE", message: "the disk is away" })
    const second = await Effect.runPromise(Effect.flip(blobs.put("a", new Uint8Array(1))))
    expect([second.code, calls(), backend.accepting()]).toEqual(["STORE_UNAVAILABLE", 1, false])
    broken.error = null
    await clock.advance(1_000)
    expect(await Effect.runPromise(blobs.get("a"))).toBeNull()
    expect([backend.accepting(), blobs.bytesMax]).toEqual([true, 7])
  })

  it("that refuses one value is well", async () => {
    for (const code of ["STORAGE_FULL", "TOO_LARGE", "STORE_CORRUPT"] as const) {
      const { backend, blobs } = scene({ error: berthError(code, "no") })
      expect((await Effect.runPromise(Effect.flip(blobs.get("a")))).code).toBe(code)
      expect(backend.accepting()).toBe(true)
    }
  })
})
