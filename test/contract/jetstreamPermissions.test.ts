/** The shipped permissions on a real server: what each role does works through the ports, and nothing else does. */
import { Effect } from "effect"
import { expect, it } from "vitest"
import { Blobs } from "../../core/ports/blobs.ts"
import { EventLog } from "../../core/ports/eventLog.ts"
import { Leases } from "../../core/ports/leases.ts"
import { Queue } from "../../core/ports/queue.ts"
import { Secrets } from "../../core/ports/secrets.ts"
import { BACKENDS_SUBJECT, Signals, workerSubject } from "../../core/ports/signals.ts"
import { Workers } from "../../core/ports/workers.ts"
import { stateSubject } from "../../core/record.ts"
import type { NatsSeries } from "../../gateway/provision/nats.ts"
import { brokerUsers, wakeUp } from "../support/brokerUsers.ts"
import { isolate } from "../support/effect.ts"
import { takeFeed } from "../support/feed.ts"
import { describeWithNats } from "../support/require.ts"
import { until } from "../support/until.ts"
import { printed, started, submitted, termBegan, tombstoneOf } from "../support/task.ts"
import { workerInfo } from "../support/actorRig.ts"

const contracts = (series: NatsSeries): void =>
  describeWithNats(`permissions on the ${series} server`, series, (server) => {
    const { open, port, rig } = brokerUsers(server)

    it("a leader makes the streams, admits, wakes, holds the lease, sees everybody and cleans up (PE2)", () =>
      isolate(
        Effect.gen(function* () {
          const log = yield* port("leader", EventLog)
          const seq = yield* log.append("control", (yield* log.lastControl)?.seq ?? 0, termBegan(1))
          const next = yield* log.append("control", seq, termBegan(2))
          yield* log.trimControl(next)
          const first = submitted({ id: "lead" })
          const at = yield* log.append(stateSubject("lead"), 0, first)
          yield* log.entomb("lead", at, tombstoneOf(first.state))
          yield* log.forget("lead")
          const queue = yield* port("leader", Queue)
          yield* queue.publish([wakeUp("l")])
          expect((yield* queue.waiting("p")).normal).toBe(1)
          yield* queue.withdraw(wakeUp("l"))
          const leases = yield* port("leader", Leases)
          yield* leases.release(yield* leases.renew(yield* leases.acquire("leader", "n1", null), 1))
          yield* (yield* port("leader", Workers)).remove("gone")
          yield* (yield* port("leader", Signals)).publish(workerSubject("w1"), { type: "look" })
          yield* (yield* port("leader", Blobs)).put("snap/1/model", new Uint8Array(10))
        }),
      ))

    it("a gateway submits, reads, watches, signals, keeps programs and secrets, and deletes through the leader", () =>
      isolate(
        Effect.gen(function* () {
          yield* open("leader")
          const log = yield* port("gateway", EventLog)
          const first = submitted({ id: "g" })
          const seq = yield* log.append(stateSubject("g"), 0, first)
          const w1 = yield* port("w1", EventLog)
          for (let n = 0; n < 40; n++) yield* w1.appendOutput("g", printed("x"))
          expect(yield* log.readTask("g", 0, 100)).toHaveLength(41)
          expect(yield* w1.readTask("g", 0, 100)).toHaveLength(41)
          expect((yield* takeFeed(log, seq - 1, 1))[0]?.seq).toBe(seq)
          const blobs = yield* port("gateway", Blobs)
          yield* blobs.put("g/0/program", new Uint8Array(300_000))
          expect((yield* blobs.get("g/0/program"))?.byteLength).toBe(300_000)
          yield* blobs.removePrefix("g/")
          const heard: unknown[] = []
          const signals = yield* port("gateway", Signals)
          yield* signals.subscribe("live.g", (payload) => void heard.push(payload))
          yield* signals.publish(workerSubject("w1"), { type: "cancel" })
          const secrets = yield* port("gateway", Secrets)
          yield* secrets.set("ann", "token", "s3cret")
          expect(yield* (yield* port("w1", Secrets)).resolve("ann", ["token"])).toEqual({ token: "s3cret" })
          yield* secrets.remove("ann", "token")
          expect(yield* secrets.list("ann")).toEqual([])
          yield* log.entomb("g", seq, tombstoneOf(first.state))
          expect((yield* log.readTask("g", 0, 10)).map((entry) => entry.record.kind)).toEqual(["tombstone"])
          expect(yield* (yield* port("gateway", Workers)).list).toBeDefined()
          const leases = yield* port("gateway", Leases)
          yield* leases.release(yield* leases.renew(yield* leases.acquire("n.any", "any", null), 1))
        }),
      ))

    it("a worker holds its lease, tells who it is, takes its pool's wake-ups, writes and prints (PE1)", () =>
      isolate(
        Effect.gen(function* () {
          yield* (yield* port("leader", Queue)).publish([wakeUp("a"), wakeUp("b")])
          const log = yield* port("w1", EventLog)
          const first = submitted({ id: "a" })
          const seq = yield* log.append(stateSubject("a"), 0, first)
          yield* log.append(stateSubject("a"), seq, started(first.state))
          yield* log.appendOutput("a", printed("x"))
          const queue = yield* port("w1", Queue)
          const pulled = yield* queue.pull("p", 2, 5_000)
          expect(pulled.map(({ wakeUp: { taskId } }) => taskId).sort()).toEqual(["a", "b"])
          yield* pulled[0]?.nak ?? Effect.void
          const [again] = yield* queue.pull("p", 1, 5_000)
          for (const delivery of [again, pulled[1]]) yield* delivery?.ack ?? Effect.void
          expect(yield* queue.pull("p", 1, 0)).toEqual([])
          const leases = yield* port("w1", Leases)
          for (const name of ["w.w1", "w.w1.2", "n.w1", "n.w1.2"]) {
            const held = yield* leases.renew(yield* leases.acquire(name, "w1", []), [])
            yield* leases.release(yield* leases.acquire(name, "w1", null).pipe(Effect.orElseSucceed(() => held)))
            expect(yield* leases.read(name)).toBeNull()
          }
          const workers = yield* port("w1", Workers)
          yield* workers.put(workerInfo({ worker: "w1", pool: "p" }))
          expect((yield* workers.list).map(({ worker }) => worker)).toEqual(["w1"])
          yield* workers.remove("w1")
          const signals = yield* port("w1", Signals)
          yield* signals.subscribe(workerSubject("w1"), () => {})
          const heard: string[] = []
          const gateway = yield* port("gateway", Signals)
          for (const subject of ["live.a", BACKENDS_SUBJECT]) {
            yield* gateway.subscribe(subject, () => void heard.push(subject))
            yield* signals.publish(subject, { x: 1 })
          }
          yield* Effect.promise(() => until(() => heard.length === 2, "both signals"))
          yield* (yield* port("w1", Blobs)).put("a/1/out", new Uint8Array(10))
        }),
      ))

    it("a node of two roles may do what either may", () =>
      isolate(
        Effect.gen(function* () {
          const log = yield* port("both", EventLog)
          yield* log.append("control", (yield* log.lastControl)?.seq ?? 0, termBegan(5))
          yield* (yield* port("both", Secrets)).set("ann", "x", "y")
        }),
      ))

    it("an operator still sees it all", () =>
      isolate(
        Effect.gen(function* () {
          const { streams } = yield* rig.manager
          const names = yield* Effect.promise(() => streams.names().next())
          expect(names).toHaveLength(6)
        }),
      ))
  })

contracts("newest")
contracts("2.10")
