import type { StreamConfig } from "@nats-io/jetstream"
import { Context, Effect, Exit, Fiber } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { BerthError } from "../../core/errors.ts"
import { EventLog } from "../../core/ports/eventLog.ts"
import { Leases } from "../../core/ports/leases.ts"
import { type Delivery, Queue, type WakeUp } from "../../core/ports/queue.ts"
import { stateSubject } from "../../core/record.ts"
import { assertVersion } from "../../store/jetstream/link.ts"
import { fromToken, toToken } from "../../store/jetstream/token.ts"
import { codeOf } from "../support/code.ts"
import { isolate } from "../support/effect.ts"
import { NatsRig, openPorts, smuggle } from "../support/nats.ts"
import { describeWithNats } from "../support/require.ts"
import { printed, started, submitted, tombstoneOf } from "../support/task.ts"

const wakeUp = (taskId: string, epoch = 1): WakeUp => ({ pool: "p", lane: "normal", taskId, epoch, admission: 1 })

const urgent = (taskId: string, epoch: number): WakeUp => ({ ...wakeUp(taskId, epoch), lane: "urgent" })
const takeTwo = (queue: Queue["Service"]): Effect.Effect<readonly Delivery[], BerthError> =>
  Effect.gen(function* () {
    const first = yield* queue.pull("p", 2, 5_000)
    return first.length === 2 ? first : [...first, ...(yield* queue.pull("p", 1, 5_000))]
  })

const change = (rig: NatsRig, stream: string, config: Partial<StreamConfig>): Effect.Effect<void> =>
  Effect.scoped(
    Effect.flatMap(rig.manager, (manager) =>
      Effect.promise(async () => void (await manager.streams.update(stream, config))),
    ),
  )

describeWithNats("jetstream when something is wrong", "newest", (server) => {
  describe("with a broker that syncs always", () => {
    const rig = new NatsRig(server)

    it("Q4 can a task be published again at the moment its message was acked, 100 times over?", () =>
      isolate(
        Effect.gen(function* () {
          const queue = Context.get(yield* rig.open(), Queue)
          for (let epoch = 1; epoch <= 100; epoch++) {
            yield* queue.publish([wakeUp("a", epoch)])
            const [delivery] = yield* queue.pull("p", 1, 2_000)
            expect(delivery?.wakeUp.epoch).toBe(epoch)
            if (delivery !== undefined) yield* delivery.ack
          }
        }),
      ))

    it("Q7 does a held message stay with its holder, and come back, when it is withdrawn?", () =>
      isolate(
        Effect.gen(function* () {
          const queue = Context.get(yield* rig.open({ ackWaitMs: 300 }), Queue)
          yield* queue.publish([wakeUp("a")])
          expect(yield* queue.pull("p", 1, 2_000)).toHaveLength(1)
          yield* queue.withdraw(wakeUp("a"))
          expect(yield* queue.pull("p", 1, 10_000)).toHaveLength(1)
        }),
      ))

    it("Q1 is what was given back there at once, long before its holder's time is over?", () =>
      isolate(
        Effect.gen(function* () {
          const queue = Context.get(yield* rig.open({ ackWaitMs: 60_000 }), Queue)
          yield* queue.publish([wakeUp("a")])
          for (let round = 0; round < 5; round++) {
            const [delivery] = yield* queue.pull("p", 1, 5_000)
            expect(delivery?.wakeUp).toEqual(wakeUp("a"))
            if (delivery !== undefined) yield* delivery.nak
          }
        }),
      ))

    it("Q5 does a pull that is given up at any moment take nothing with it?", () =>
      isolate(
        Effect.gen(function* () {
          const queue = Context.get(yield* rig.open({ ackWaitMs: 60_000 }), Queue)
          expect(yield* queue.pull("p", 1, 0)).toEqual([])
          for (let round = 0; round < 40; round++) {
            yield* queue.publish([urgent("a", round), urgent("b", round)])
            const waiting = yield* Effect.forkChild(queue.pull("p", 2, 5_000))
            // From before its request is sent to after its answers have come.
            for (let turn = 0; turn < round % 10; turn++) yield* Effect.promise(() => new Promise(setImmediate))
            yield* Fiber.interrupt(waiting)
            const exit = yield* Fiber.await(waiting)
            const pulled = Exit.isSuccess(exit) ? exit.value : yield* takeTwo(queue)
            expect(pulled.map((delivery) => delivery.wakeUp.taskId).sort()).toEqual(["a", "b"])
            for (const delivery of pulled) yield* delivery.ack
          }
        }),
      ))

    it("is a wake-up that cannot be read thrown away, and the others delivered?", () =>
      isolate(
        Effect.gen(function* () {
          const cluster = rig.newCluster()
          const queue = Context.get(yield* rig.open({ cluster, ackWaitMs: 300 }), Queue)
          yield* smuggle(rig, `berth.${cluster}.q.p.urgent.bad`, new Uint8Array(20))
          yield* queue.publish([wakeUp("a")])
          const pulled = yield* queue.pull("p", 5, 2_000)
          expect(pulled.map((delivery) => delivery.wakeUp.taskId)).toEqual(["a"])
          for (const delivery of pulled) yield* delivery.ack
          expect(yield* queue.pull("p", 5, 700)).toEqual([])
          yield* queue.publish([{ ...wakeUp("bad"), lane: "urgent" }])
          expect(yield* queue.pull("p", 5, 2_000)).toHaveLength(1)
        }),
      ))

    it("is a pool without a name a typed error?", () =>
      isolate(
        Effect.gen(function* () {
          const queue = Context.get(yield* rig.open(), Queue)
          expect(yield* codeOf(queue.pull("", 1, 0))).toBe("INVALID_PARAMS")
          expect(yield* codeOf(queue.publish([{ ...wakeUp("a"), pool: "" }]))).toBe("INVALID_PARAMS")
        }),
      ))

    it("is a burial that was cut short finished by whoever buries again?", () =>
      isolate(
        Effect.gen(function* () {
          const log = Context.get(yield* rig.open(), EventLog)
          const first = submitted({ id: "a" })
          const seq = yield* log.append(stateSubject("a"), 0, first)
          yield* log.appendOutput("a", printed("x"))
          const tombstone = tombstoneOf(first.state)
          const buried = yield* log.append(stateSubject("a"), seq, tombstone as never)
          expect(yield* log.readTask("a", 0, 10)).toHaveLength(3)
          expect(yield* log.entomb("a", seq, tombstone)).toBe(buried)
          expect((yield* log.readTask("a", 0, 10)).map((entry) => entry.seq)).toEqual([buried])
        }),
      ))

    it("is a task that somebody else moved on never buried?", () =>
      isolate(
        Effect.gen(function* () {
          const log = Context.get(yield* rig.open(), EventLog)
          const first = submitted({ id: "a" })
          const seq = yield* log.append(stateSubject("a"), 0, first)
          yield* log.append(stateSubject("a"), seq, started(first.state))
          expect(yield* codeOf(log.entomb("a", seq, tombstoneOf(first.state)))).toBe("VERSION_CONFLICT")
          expect(yield* log.readTask("a", 0, 10)).toHaveLength(2)
        }),
      ))

    it("refuses a stream that was changed so that it cannot be relied on", () =>
      isolate(
        Effect.gen(function* () {
          const cluster = rig.newCluster()
          yield* Effect.scoped(rig.open({ cluster }))
          yield* change(rig, `BERTH_${cluster}_LOG`, { allow_direct: true })
          expect(yield* codeOf(rig.open({ cluster }))).toBe("CONFIG_INVALID")
          expect(yield* codeOf(rig.open({ cluster: "no.good" }))).toBe("CONFIG_INVALID")
        }),
      ))

    it("claims no more durability than the servers say", () =>
      isolate(
        Effect.gen(function* () {
          const said = (monitors: readonly string[]) =>
            Effect.map(rig.open({ monitors }), (ports) => Context.get(ports, EventLog).durability)
          expect(yield* said(rig.monitors)).toBe("fsynced")
          expect(yield* said([])).toBe("unknown")
          expect(yield* said(["http://127.0.0.1:1"])).toBe("unknown")
        }),
      ))

    it("leaves nothing of a released lease behind", () =>
      isolate(
        Effect.gen(function* () {
          const cluster = rig.newCluster()
          const leases = Context.get(yield* rig.open({ cluster }), Leases)
          yield* leases.release(yield* leases.acquire("worker.a", "a", null))
          const { streams } = yield* rig.manager
          const { state } = yield* Effect.promise(() => streams.info(`KV_BERTH_${cluster}_LEASES`))
          expect(state.messages).toBe(0)
        }),
      ))
  })

  describe("with a broker that does not sync", () => {
    const rig = new NatsRig(server, { syncAlways: false })

    it("says so", () =>
      isolate(
        Effect.gen(function* () {
          expect(Context.get(yield* rig.open(), EventLog).durability).toBe("page-cache")
        }),
      ))
  })
})

describe("jetstream without a broker", () => {
  it("is a broker that is not there a typed error?", () =>
    isolate(
      Effect.gen(function* () {
        const code = yield* codeOf(openPorts({ servers: ["127.0.0.1:1"], cluster: "c", replicas: 1 }))
        expect(code).toBe("STORE_UNAVAILABLE")
      }),
    ))

  it("refuses servers that lose streams", () =>
    isolate(
      Effect.gen(function* () {
        for (const old of [
          [2, 9, 25],
          [2, 10, 22],
          [1, 99, 99],
        ])
          expect(yield* codeOf(assertVersion(old))).toBe("CONFIG_INVALID")
        for (const good of [
          [2, 10, 23],
          [2, 11, 0],
          [3, 0, 0],
        ])
          expect(yield* codeOf(assertVersion(good))).toBe("none")
      }),
    ))

  it("is every name one token, and read back equal?", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 60, unit: "binary" }), (name) => {
        const token = toToken(name)
        expect(token).toMatch(/^[A-Za-z0-9_=-]+$/)
        expect(fromToken(token)).toBe(name)
      }),
    )
  })
})
