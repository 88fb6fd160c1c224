import { Effect, Fiber, type Scope } from "effect"
import { describe, expect, it } from "vitest"
import type { BerthError } from "../../core/errors.ts"
import type { Delivery, Queue, WakeUp } from "../../core/ports/queue.ts"
import { LANES, type Lane } from "../../core/words.ts"
import { isolate } from "../support/effect.ts"

type Service = Queue["Service"]

export interface QueueTraits {
  readonly name: string
  readonly open: Effect.Effect<Service, BerthError, Scope.Scope>
  /** After this a delivery that nobody settled comes back. Short: the suite waits for it. */
  readonly ackWaitMs: number
  /** Long enough for any pull that will succeed. */
  readonly patienceMs: number
}

const wakeUp = (taskId: string, lane: Lane = "normal", pool = "p", epoch = 1): WakeUp => ({
  pool,
  lane,
  taskId,
  epoch,
  admission: 7,
})
const tasks = (deliveries: readonly Delivery[]): readonly string[] =>
  deliveries.map((delivery) => delivery.wakeUp.taskId)
const ackAll = (deliveries: readonly Delivery[]) => Effect.forEach(deliveries, (delivery) => delivery.ack)

export const queueContract = (traits: QueueTraits): void => {
  describe(`Queue contract: ${traits.name}`, () => {
    const use = (body: (queue: Service) => Effect.Effect<void, BerthError, Scope.Scope>) => () =>
      isolate(Effect.flatMap(traits.open, body))
    const { patienceMs } = traits

    it(
      "Q1 a delivery that nobody settles is delivered again, to anybody",
      use((queue) =>
        Effect.gen(function* () {
          yield* queue.publish([wakeUp("a")])
          expect(tasks(yield* queue.pull("p", 1, patienceMs))).toEqual(["a"])
          expect(tasks(yield* queue.pull("p", 1, 0))).toEqual([])
          const again = yield* queue.pull("p", 1, traits.ackWaitMs + patienceMs)
          expect(again.map((delivery) => delivery.wakeUp)).toEqual([wakeUp("a")])
          yield* ackAll(again)
        }),
      ),
    )

    it(
      "Q1 what is given back is delivered again at once",
      use((queue) =>
        Effect.gen(function* () {
          yield* queue.publish([wakeUp("a")])
          for (let round = 0; round < 5; round++) {
            const [delivery] = yield* queue.pull("p", 1, patienceMs)
            expect(delivery?.wakeUp).toEqual(wakeUp("a"))
            yield* (delivery as Delivery).nak
          }
          yield* ackAll(yield* queue.pull("p", 1, patienceMs))
          expect(yield* queue.waiting("p")).toEqual({ urgent: 0, high: 0, normal: 0, low: 0 })
        }),
      ),
    )

    it(
      "Q2 a task has one message, however often it is published, waiting or held",
      use((queue) =>
        Effect.gen(function* () {
          yield* queue.publish([wakeUp("a"), wakeUp("a")])
          yield* queue.publish([wakeUp("a")])
          expect(yield* queue.waiting("p")).toEqual({ urgent: 0, high: 0, normal: 1, low: 0 })
          const held = yield* queue.pull("p", 10, patienceMs)
          expect(tasks(held)).toEqual(["a"])
          yield* queue.publish([wakeUp("a")])
          expect(tasks(yield* queue.pull("p", 10, 0))).toEqual([])
          yield* ackAll(held)
        }),
      ),
    )

    it(
      "Q3 no message of a lower lane is pulled while a higher one waits",
      use((queue) =>
        Effect.gen(function* () {
          const mixed = [...LANES].reverse().flatMap((lane) => [wakeUp(`${lane}1`, lane), wakeUp(`${lane}2`, lane)])
          yield* queue.publish(mixed)
          const order: string[] = []
          for (const count of [1, 2, 2, 1, 2]) {
            const pulled = yield* queue.pull("p", count, patienceMs)
            order.push(...tasks(pulled).map((task) => task.slice(0, -1)))
            yield* ackAll(pulled)
          }
          expect(order).toEqual(["urgent", "urgent", "high", "high", "normal", "normal", "low", "low"])
        }),
      ),
    )

    it(
      "Q4 an acked message is gone, and its task may be published anew",
      use((queue) =>
        Effect.gen(function* () {
          yield* queue.publish([wakeUp("a")])
          yield* ackAll(yield* queue.pull("p", 1, patienceMs))
          expect(tasks(yield* queue.pull("p", 1, 3 * traits.ackWaitMs))).toEqual([])
          yield* queue.publish([wakeUp("a", "high", "p", 2)])
          const [delivery] = yield* queue.pull("p", 1, patienceMs)
          expect(delivery?.wakeUp).toEqual(wakeUp("a", "high", "p", 2))
          yield* (delivery as Delivery).ack
          yield* (delivery as Delivery).ack
        }),
      ),
    )

    it(
      "Q5 a pull gives at most what was asked for, and nothing where there is nothing",
      use((queue) =>
        Effect.gen(function* () {
          yield* queue.publish(Array.from({ length: 5 }, (_, i) => wakeUp(`t${i}`)))
          const first = yield* queue.pull("p", 3, patienceMs)
          expect(first).toHaveLength(3)
          const rest = yield* queue.pull("p", 3, patienceMs)
          expect(rest).toHaveLength(2)
          expect(new Set([...tasks(first), ...tasks(rest)]).size).toBe(5)
          expect(yield* queue.pull("p", 3, 0)).toEqual([])
          yield* ackAll([...first, ...rest])
          expect(yield* queue.pull("p", 3, 20)).toEqual([])
        }),
      ),
    )

    it(
      "Q5 a pull that waits gets what is published meanwhile",
      use((queue) =>
        Effect.gen(function* () {
          const waiting = yield* Effect.forkChild(queue.pull("p", 1, patienceMs))
          yield* Effect.yieldNow
          yield* queue.publish([wakeUp("a")])
          const pulled = yield* Fiber.join(waiting)
          expect(tasks(pulled)).toEqual(["a"])
          yield* ackAll(pulled)
        }),
      ),
    )

    it(
      "Q5 a pull that was given up takes nothing with it",
      use((queue) =>
        Effect.gen(function* () {
          const waiting = yield* Effect.forkChild(queue.pull("p", 1, patienceMs))
          yield* Effect.yieldNow
          yield* Fiber.interrupt(waiting)
          yield* queue.publish([wakeUp("a")])
          const pulled = yield* queue.pull("p", 1, traits.ackWaitMs + patienceMs)
          expect(tasks(pulled)).toEqual(["a"])
          yield* ackAll(pulled)
        }),
      ),
    )

    it(
      "Q6 of many pullers each message goes to one, and pools do not mix",
      use((queue) =>
        Effect.gen(function* () {
          yield* queue.publish(Array.from({ length: 40 }, (_, i) => wakeUp(`t${i}`)))
          yield* queue.publish([wakeUp("elsewhere", "urgent", "other")])
          const take: Effect.Effect<readonly string[], BerthError> = Effect.gen(function* () {
            const pulled = yield* queue.pull("p", 3, 0)
            yield* ackAll(pulled)
            return pulled.length === 0 ? [] : [...tasks(pulled), ...(yield* take)]
          })
          const taken = (yield* Effect.all([take, take, take, take], { concurrency: "unbounded" })).flat()
          expect(taken.sort()).toEqual(Array.from({ length: 40 }, (_, i) => `t${i}`).sort())
          expect(tasks(yield* queue.pull("other", 1, patienceMs))).toEqual(["elsewhere"])
        }),
      ),
    )

    it(
      "Q7 a waiting message can be withdrawn, a held one stays with its holder",
      use((queue) =>
        Effect.gen(function* () {
          yield* queue.publish([wakeUp("a"), wakeUp("b", "low")])
          yield* queue.withdraw(wakeUp("a"))
          yield* queue.withdraw(wakeUp("never"))
          const held = yield* queue.pull("p", 2, patienceMs)
          expect(tasks(held)).toEqual(["b"])
          yield* ackAll(held)
          yield* queue.publish([wakeUp("a")])
          const again = yield* queue.pull("p", 1, patienceMs)
          expect(tasks(again)).toEqual(["a"])
          yield* ackAll(again)
        }),
      ),
    )

    it(
      "Q8 counts by lane what nobody holds",
      use((queue) =>
        Effect.gen(function* () {
          expect(yield* queue.waiting("p")).toEqual({ urgent: 0, high: 0, normal: 0, low: 0 })
          yield* queue.publish([
            wakeUp("a", "urgent"),
            wakeUp("b", "low"),
            wakeUp("c", "low"),
            wakeUp("d", "low", "other"),
          ])
          expect(yield* queue.waiting("p")).toEqual({ urgent: 1, high: 0, normal: 0, low: 2 })
          const held = yield* queue.pull("p", 1, patienceMs)
          expect(yield* queue.waiting("p")).toEqual({ urgent: 0, high: 0, normal: 0, low: 2 })
          yield* ackAll(held)
        }),
      ),
    )
  })
}
