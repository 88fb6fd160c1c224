import { AckPolicy, DiscardPolicy } from "@nats-io/jetstream"
import { nanos } from "@nats-io/transport-node"
import { Context, Effect, Fiber } from "effect"
import { expect, it } from "vitest"
import type { NatsSeries } from "../../gateway/provision/nats.ts"
import { EventLog } from "../../core/ports/eventLog.ts"
import { type LogEntry, stateSubject } from "../../core/record.ts"
import { isolate } from "../support/effect.ts"
import { takeFeed } from "../support/feed.ts"
import { NatsRig } from "../support/nats.ts"
import { describeWithNats } from "../support/require.ts"
import { printed, submitted } from "../support/task.ts"
import { codeOf } from "../support/code.ts"

const ENTRIES = 1_000
const AT_ONCE = 100

const pages = (series: NatsSeries): void =>
  describeWithNats(`reading a long task on the ${series} server`, series, (server) => {
    const rig = new NatsRig(server)

    it("EL7 are a thousand entries read whole and in order, in pages of any size, and with few requests?", () =>
      isolate(
        Effect.gen(function* () {
          const log = Context.get(yield* rig.open(), EventLog)
          const seqs = [yield* log.append(stateSubject("a"), 0, submitted({ id: "a" }))]
          yield* log.append(stateSubject("b"), 0, submitted({ id: "b" }))
          const more = Array.from({ length: ENTRIES - 1 }, (_, n) => n)
          const written = yield* Effect.forEach(more, (n) => log.appendOutput("a", printed("x", n)), {
            concurrency: AT_ONCE,
          })
          seqs.push(...written.sort((a, b) => a - b))
          for (const size of [1, 12, 13, 250, 999, 1_000, 5_000]) {
            const found = yield* log.readTask("a", 0, size)
            expect(found.map(({ seq }) => seq)).toEqual(seqs.slice(0, size))
          }
          const rest = yield* log.readTask("a", seqs[400] ?? 0, 5_000)
          expect(rest.map(({ seq }) => seq)).toEqual(seqs.slice(401))
          const manager = yield* rig.manager
          const before = (yield* Effect.promise(() => manager.getAccountInfo())).api.total
          yield* log.readTask("a", 0, 5_000)
          const asked = (yield* Effect.promise(() => manager.getAccountInfo())).api.total - before
          expect(asked).toBeLessThan(60)
        }),
      ))

    it("EL7 EL4 does it show all that was there, and nothing that `last` does not know, while others write?", () =>
      isolate(
        Effect.gen(function* () {
          const log = Context.get(yield* rig.open(), EventLog)
          yield* log.append(stateSubject("a"), 0, submitted({ id: "a" }))
          const writing = yield* Effect.forkChild(
            Effect.forEach(
              Array.from({ length: 600 }, (_, n) => n),
              (n) => log.appendOutput("a", printed("x", n)),
              { discard: true },
            ),
          )
          let shown: readonly LogEntry[] = []
          while (shown.length < 601) {
            const head = yield* log.head
            const next = yield* log.readTask("a", 0, 5_000)
            expect(next.slice(0, shown.length)).toEqual(shown)
            expect(next.at(-1)?.seq).toBeGreaterThanOrEqual(head)
            expect(yield* log.head).toBeGreaterThanOrEqual(next.at(-1)?.seq ?? 0)
            shown = next
          }
          yield* Fiber.join(writing)
        }),
      ))

    it("EL7 EL8 are a task and the feed read whole while the broker has no room for another consumer?", () =>
      isolate(
        Effect.gen(function* () {
          const cluster = rig.newCluster()
          const name = `BERTH_${cluster}_LOG`
          const { streams, consumers } = yield* rig.manager
          const settings = { discard: DiscardPolicy.New, duplicate_window: nanos(1_000), max_consumers: 1 }
          yield* Effect.promise(() => streams.add({ name, subjects: [`berth.${cluster}.log.>`], ...settings }))
          yield* Effect.promise(() => consumers.add(name, { durable_name: "another", ack_policy: AckPolicy.None }))
          const log = Context.get(yield* rig.open({ cluster }), EventLog)
          const seqs: number[] = []
          for (let n = 0; n < 50; n++) seqs.push(yield* log.appendOutput("a", printed("x", n)))
          expect((yield* log.readTask("a", 0, 1_000)).map(({ seq }) => seq)).toEqual(seqs)
          expect((yield* takeFeed(log, 0, 50)).map(({ seq }) => seq)).toEqual(seqs)
        }),
      ))

    it("EL10 is a damaged record in the middle of many reported?", () =>
      isolate(
        Effect.gen(function* () {
          const cluster = rig.newCluster()
          const log = Context.get(yield* rig.open({ cluster }), EventLog)
          for (let n = 0; n < 50; n++) yield* log.appendOutput("a", printed("x", n))
          const manager = yield* rig.manager
          yield* Effect.promise(() => manager.jetstream().publish(`berth.${cluster}.log.t.a.o`, new Uint8Array(9)))
          expect(yield* codeOf(log.readTask("a", 0, 1_000))).toBe("STORE_CORRUPT")
        }),
      ))
  })

pages("newest")
pages("2.10")
