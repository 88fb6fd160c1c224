/** What a killed broker may keep of the queue: messages that are settled in the consumer's state and still in the stream. */
import { cpSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import { Context, Effect } from "effect"
import { expect, it } from "vitest"
import type { BerthError } from "../../core/errors.ts"
import { type Delivery, Queue, type WakeUp } from "../../core/ports/queue.ts"
import { isolate } from "../support/effect.ts"
import { NatsRig } from "../support/nats.ts"
import { describeWithNats } from "../support/require.ts"

const wakeUp = (taskId: string, epoch: number): WakeUp => ({ pool: "p", lane: "normal", taskId, epoch, admission: 1 })

/** Until the client has found its broker again. */
const persisted = <A>(effect: Effect.Effect<A, BerthError>): Effect.Effect<A, BerthError> =>
  Effect.retry(effect, { while: (error) => error.retryable, times: 20 })
const takeFrom = (queue: Queue["Service"], count: number): Effect.Effect<readonly Delivery[], BerthError> =>
  Effect.gen(function* () {
    const taken: Delivery[] = []
    while (taken.length < count) taken.push(...(yield* queue.pull("p", count - taken.length, 5_000)))
    return taken
  })
/**
 * Does something between two lives of a broker, and then takes back what the stream's own files saw of it: what a kill leaves
 * when a message's removal was not yet written and its consumer's state was.
 */
const unwritten = (
  rig: NatsRig,
  stream: string,
  what: Effect.Effect<void, BerthError>,
): Effect.Effect<void, BerthError> =>
  Effect.gen(function* () {
    const [broker] = rig.brokers
    if (broker === undefined) return
    const files = join(broker.place.dir, "store/jetstream/$G/streams", stream, "msgs")
    const again = (change: () => void) =>
      Effect.promise(async () => {
        await broker.stop("SIGTERM")
        change()
        broker.start()
        await broker.ready()
      })
    yield* again(() => cpSync(files, `${files}.before`, { recursive: true }))
    yield* what
    yield* again(() => {
      rmSync(files, { recursive: true })
      renameSync(`${files}.before`, files)
    })
  })

describeWithNats("a broker that was killed", "newest", (server) => {
  const rig = new NatsRig(server)

  it("Q1 is a message that the broker kept after it was settled, and delivers no more, no obstacle to the next wake-up?", () =>
    isolate(
      Effect.gen(function* () {
        const cluster = rig.newCluster()
        const queue = Context.get(yield* rig.open({ cluster }), Queue)
        yield* queue.publish([wakeUp("a", 1), wakeUp("b", 1)])
        const settleBoth = Effect.gen(function* () {
          const both = yield* takeFrom(queue, 2)
          for (const { ack } of both) yield* ack
        })
        yield* unwritten(rig, `BERTH_${cluster}_QUEUE`, persisted(settleBoth))
        expect(yield* persisted(queue.pull("p", 2, 1_000))).toEqual([])
        // They are still there, and nobody will ever be given them.
        expect((yield* queue.waiting("p")).normal).toBe(2)
        yield* persisted(queue.publish([wakeUp("a", 2)]))
        const found = yield* queue.pull("p", 2, 5_000)
        expect(found.map((delivery) => delivery.wakeUp)).toEqual([wakeUp("a", 2)])
        // One that is held, or waits, is not in the way of itself.
        yield* queue.publish([wakeUp("a", 3), wakeUp("c", 1)])
        yield* queue.publish([wakeUp("c", 2)])
        const next = yield* queue.pull("p", 2, 5_000)
        expect(next.map((delivery) => delivery.wakeUp)).toEqual([wakeUp("c", 1)])
      }),
    ))
})
