/** The wire to a real broker, cut at bad moments (WI1 to WI3, PU1). */
import { Context, Effect } from "effect"
import { expect, it } from "vitest"
import { EventLog } from "../../core/ports/eventLog.ts"
import { Queue } from "../../core/ports/queue.ts"
import { stateSubject } from "../../core/record.ts"
import { appendOnce } from "../../actors/appendOnce.ts"
import { openCuttingProxy } from "../support/cuttingProxy.ts"
import { isolate } from "../support/effect.ts"
import { NatsRig } from "../support/nats.ts"
import { describeWithNats } from "../support/require.ts"
import { submitted } from "../support/task.ts"

describeWithNats("the wire to the broker", "newest", (server) => {
  const rig = new NatsRig(server)
  const cut = (cluster: string) =>
    Effect.gen(function* () {
      const proxy = yield* Effect.acquireRelease(
        Effect.promise(() => openCuttingProxy(rig.servers[0] ?? "")),
        (opened) => Effect.promise(() => opened.close()),
      )
      const ports = yield* rig.open({ cluster, servers: [proxy.url.replace("http:", "nats:")] })
      return { proxy, log: Context.get(ports, EventLog), queue: Context.get(ports, Queue) }
    })

  it("EL5 is an append whose answer was lost with the wire known to have succeeded, as soon as the wire is there again?", () =>
    isolate(
      Effect.gen(function* () {
        const { log, proxy } = yield* cut(rig.newCluster())
        proxy.swallowNextAnswer()
        const error = yield* Effect.flip(log.append(stateSubject("a"), 0, submitted({ id: "a" })))
        expect([error.code, error.message]).toEqual([
          "STORE_UNAVAILABLE",
          expect.stringContaining("lost before it answered"),
        ])
        expect((yield* log.last("a"))?.record.kind).toBe("task")
        proxy.swallowNextAnswer()
        const record = { ...submitted({ id: "b" }), recordId: "b1" }
        const seq = yield* appendOnce(log, stateSubject("b"), 0, record)
        expect((yield* log.last("b"))?.seq).toBe(seq)
      }),
    ))

  it("does a read whose answer was lost with the wire get one all the same?", () =>
    isolate(
      Effect.gen(function* () {
        const { log, proxy } = yield* cut(rig.newCluster())
        const seq = yield* log.append(stateSubject("a"), 0, submitted({ id: "a" }))
        for (const read of [Effect.map(log.last("a"), (entry) => entry?.seq), log.head]) {
          proxy.swallowNextAnswer()
          expect(yield* read).toBe(seq)
        }
      }),
    ))

  it("does a pull end when the wire breaks, and the next one find what there is?", () =>
    isolate(
      Effect.gen(function* () {
        const { proxy, queue } = yield* cut(rig.newCluster())
        // From now on the consumers are there, and a pull is one question.
        expect(yield* queue.pull("p", 1, 0)).toEqual([])
        proxy.swallowNextAnswer()
        const lost = yield* Effect.flip(queue.pull("p", 1, 0))
        expect(lost.message).toContain("the connection to the broker was lost")
        yield* queue.publish([{ pool: "p", lane: "urgent", taskId: "a", epoch: 1, admission: 1 }])
        expect(yield* queue.pull("p", 1, 5_000)).toHaveLength(1)
      }),
    ))

  it("is who asks while the broker is away told so?", () =>
    isolate(
      Effect.gen(function* () {
        const { log, proxy } = yield* cut(rig.newCluster())
        yield* Effect.promise(() => proxy.close())
        const error = yield* Effect.flip(log.append(stateSubject("a"), 0, submitted({ id: "a" })))
        expect(error).toMatchObject({ code: "STORE_UNAVAILABLE", retryable: true })
      }),
    ))
})
