/** A broker without room, and streams that somebody deleted. */
import { Context, Effect } from "effect"
import { describe, expect, it } from "vitest"
import type { BerthError } from "../../core/errors.ts"
import { Blobs } from "../../core/ports/blobs.ts"
import { EventLog } from "../../core/ports/eventLog.ts"
import { Leases } from "../../core/ports/leases.ts"
import { Queue, type WakeUp } from "../../core/ports/queue.ts"
import { type Seq, stateSubject } from "../../core/record.ts"
import type { NatsSeries } from "../../gateway/provision/nats.ts"
import { codeOf } from "../support/code.ts"
import { isolate } from "../support/effect.ts"
import { NatsRig } from "../support/nats.ts"
import { describeWithNats } from "../support/require.ts"
import { printed, submitted } from "../support/task.ts"

const STORE_BYTES = 4 * 1024 * 1024
const CHUNK = "x".repeat(60_000)
const APPENDS_MAX = 200

const wakeUp = (taskId: string): WakeUp => ({ pool: "p", lane: "normal", taskId, epoch: 1, admission: 1 })

const trouble = (series: NatsSeries): void =>
  describeWithNats(`trouble with the ${series} server`, series, (server) => {
    describe("that may store little", () => {
      const rig = new NatsRig(server, { storeBytesMax: STORE_BYTES })

      it("EL12 are appends refused with STORAGE_FULL, is nothing lost, and does it go on by itself once there is room?", () =>
        isolate(
          Effect.gen(function* () {
            const cluster = rig.newCluster()
            const ports = yield* rig.open({ cluster })
            const log = Context.get(ports, EventLog)
            const kept: Seq[] = []
            let refused: BerthError | null = null
            for (let n = 0; refused === null && n < APPENDS_MAX; n++) {
              const [task, chunk] = [`t${n % 4}`, log.appendOutput(`t${n % 4}`, printed(CHUNK, n))]
              const answer = yield* Effect.result(
                n < 4 ? log.append(stateSubject(task), 0, submitted({ id: task })) : chunk,
              )
              if (answer._tag === "Success") kept.push(answer.success)
              else refused = answer.failure
            }
            expect(refused).toMatchObject({ code: "STORAGE_FULL", retryable: true })
            expect(refused?.advice).toContain("max_file_store")
            expect(kept.length).toBeGreaterThan(10)
            // All that writes is refused, leases too, and all that reads goes on.
            expect(yield* codeOf(Context.get(ports, Leases).acquire("w.a", "a", [CHUNK]))).toBe("STORAGE_FULL")
            const big = submitted({ id: "late", spec: { labels: { a: CHUNK } } })
            expect(yield* codeOf(log.append(stateSubject("late"), 0, big))).toBe("STORAGE_FULL")
            expect(yield* codeOf(Context.get(ports, Blobs).put("a/1/out", new Uint8Array(200_000)))).toBe(
              "STORAGE_FULL",
            )
            const seqs = yield* Effect.forEach(["t0", "t1", "t2", "t3"], (task) => log.readTask(task, 0, 1_000))
            expect(
              seqs
                .flat()
                .map(({ seq }) => seq)
                .sort((a, b) => a - b),
            ).toEqual(kept)
            yield* log.purgeOutput("t0")
            expect(yield* log.append(stateSubject("late"), 0, big)).toBeGreaterThan(kept.at(-1) ?? 0)
            const left = yield* Effect.forEach(["t1", "t2", "t3"], (task) => log.readTask(task, 0, 1_000))
            expect(left.flat()).toHaveLength(kept.length - (seqs[0]?.length ?? 0))
          }),
        ))
    })

    describe("that has more room than the log may take", () => {
      const rig = new NatsRig(server)
      it("LE2 does a lease live on while the log is full?", () =>
        isolate(
          Effect.gen(function* () {
            const ports = yield* rig.open({ bytesMax: 1024 * 1024 })
            const leases = Context.get(ports, Leases)
            const log = Context.get(ports, EventLog)
            let lease = yield* leases.acquire("w.a", "a", null)
            let answer = yield* codeOf(log.appendOutput("t", printed(CHUNK)))
            for (let n = 0; answer === "none" && n < APPENDS_MAX; n++)
              answer = yield* codeOf(log.appendOutput("t", printed(CHUNK)))
            expect(answer).toBe("STORAGE_FULL")
            for (let n = 0; n < 100; n++) lease = yield* leases.renew(lease, [{ taskId: "t", epoch: n }])
            expect((yield* leases.read("w.a"))?.revision).toBe(lease.revision)
          }),
        ))
    })

    describe("whose streams somebody deletes", () => {
      const rig = new NatsRig(server)
      const remove = (stream: string) =>
        Effect.flatMap(rig.manager, ({ streams }) => Effect.promise(() => streams.delete(stream)))

      it("Q1 is the queue made anew by who manages the cluster, and do workers get typed errors until then?", () =>
        isolate(
          Effect.gen(function* () {
            const cluster = rig.newCluster()
            const leader = Context.get(yield* rig.open({ cluster }), Queue)
            const worker = Context.get(yield* rig.open({ cluster, manages: false }), Queue)
            yield* leader.publish(Array.from({ length: 50 }, (_, n) => wakeUp(`t${n}`)))
            expect(yield* worker.pull("p", 5, 5_000)).toHaveLength(5)
            yield* remove(`BERTH_${cluster}_QUEUE`)
            for (const act of [worker.pull("p", 1, 0), worker.publish([wakeUp("x")])]) {
              expect(yield* Effect.flip(act)).toMatchObject({ code: "STORE_UNAVAILABLE", retryable: true })
            }
            // As the reconciler does for what waits in the log.
            yield* leader.publish(Array.from({ length: 50 }, (_, n) => wakeUp(`t${n}`)))
            const taken = new Set<string>()
            while (taken.size < 50) {
              for (const delivery of yield* worker.pull("p", 10, 5_000)) {
                taken.add(delivery.wakeUp.taskId)
                yield* delivery.ack
              }
            }
            expect(yield* worker.pull("p", 1, 0)).toEqual([])
          }),
        ))

      it("EL1 is a log that is gone said to be gone, and never a new one put in its place?", () =>
        isolate(
          Effect.gen(function* () {
            const cluster = rig.newCluster()
            const ports = yield* rig.open({ cluster })
            const log = Context.get(ports, EventLog)
            yield* log.append(stateSubject("a"), 0, submitted({ id: "a" }))
            yield* remove(`BERTH_${cluster}_LOG`)
            expect(yield* codeOf(log.append(stateSubject("b"), 0, submitted({ id: "b" })))).toBe("STORE_UNAVAILABLE")
            expect(yield* codeOf(log.last("a"))).toBe("STORE_UNAVAILABLE")
            expect(yield* codeOf(log.readTask("a", 0, 10))).toBe("STORE_UNAVAILABLE")
            yield* remove(`KV_BERTH_${cluster}_LEASES`)
            expect(yield* codeOf(Context.get(ports, Leases).acquire("w.a", "a", null))).toBe("STORE_UNAVAILABLE")
          }),
        ))
    })
  })

trouble("newest")
trouble("2.10")
