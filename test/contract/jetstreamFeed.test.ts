/** What readers of the log see when the broker dies, or has what nobody wrote. */
import { nanos } from "@nats-io/transport-node"
import { Context, Effect, Fiber, Schedule, Stream } from "effect"
import { expect, it } from "vitest"
import type { BerthError } from "../../core/errors.ts"
import { EventLog } from "../../core/ports/eventLog.ts"
import { type LogEntry, stateSubject } from "../../core/record.ts"
import { codeOf } from "../support/code.ts"
import { isolate } from "../support/effect.ts"
import { takeFeed } from "../support/feed.ts"
import { NatsRig, smuggle } from "../support/nats.ts"
import { describeWithNats } from "../support/require.ts"
import { submitted } from "../support/task.ts"

describeWithNats("readers of a log on jetstream", "newest", (server) => {
  const rig = new NatsRig(server)

  it("EL10 is a record that is not what was written reported, and are its neighbours readable?", () =>
    isolate(
      Effect.gen(function* () {
        const cluster = rig.newCluster()
        const log = Context.get(yield* rig.open({ cluster }), EventLog)
        yield* log.append(stateSubject("a"), 0, submitted({ id: "a" }))
        yield* smuggle(rig, `berth.${cluster}.log.t.a.o`, new Uint8Array(50))
        yield* log.append(stateSubject("b"), 0, submitted({ id: "b" }))
        yield* smuggle(rig, `berth.${cluster}.log.t.c.s`, new Uint8Array(3))
        expect(yield* codeOf(log.readTask("a", 0, 10))).toBe("STORE_CORRUPT")
        expect(yield* codeOf(takeFeed(log, 0, 4))).toBe("STORE_CORRUPT")
        expect(yield* codeOf(log.last("c"))).toBe("STORE_CORRUPT")
        expect((yield* log.last("b"))?.record.kind).toBe("task")
      }),
    ))

  it("EL10 do readers that had caught up all meet a record that is not what was written, and those that come later?", () =>
    isolate(
      Effect.gen(function* () {
        const cluster = rig.newCluster()
        const log = Context.get(yield* rig.open({ cluster }), EventLog)
        yield* log.append(stateSubject("a"), 0, submitted({ id: "a" }))
        const readers = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(codeOf(takeFeed(log, 0, 3))))
        yield* takeFeed(log, 0, 1)
        yield* smuggle(rig, `berth.${cluster}.log.t.c.s`, new Uint8Array(3))
        // One that is cut off on the way finds out when it begins again.
        const codes = yield* Effect.forEach(readers, (reader) => Fiber.join(reader))
        for (const code of codes) expect(["STORE_CORRUPT", "STORE_UNAVAILABLE"]).toContain(code)
        expect(yield* codeOf(takeFeed(log, 0, 3))).toBe("STORE_CORRUPT")
        expect(yield* codeOf(takeFeed(log, 1, 1))).toBe("STORE_CORRUPT")
      }),
    ))

  it("EL8 does a reader leave nothing at the broker when it goes, or goes without a word?", () =>
    isolate(
      Effect.gen(function* () {
        const cluster = rig.newCluster()
        const { consumers } = yield* rig.manager
        const atBroker = Effect.promise(() => consumers.list(`BERTH_${cluster}_LOG`).next())
        const log = Context.get(yield* rig.open({ cluster }), EventLog)
        for (const id of ["a", "b", "c"]) yield* log.append(stateSubject(id), 0, submitted({ id }))
        for (let n = 0; n < 20; n++) yield* takeFeed(log, 0, 3)
        // The one that all readers near the head share.
        const left = yield* atBroker.pipe(
          Effect.repeat({ until: (found) => found.length <= 1, schedule: Schedule.spaced(20), times: 250 }),
        )
        expect(left).toHaveLength(1)
        expect(left[0]?.config.inactive_threshold).toBe(nanos(30_000))
      }),
    ))

  it("EL8 does the feed go on after the broker was killed, each entry once, and is nothing lost?", () =>
    isolate(
      Effect.gen(function* () {
        const log = Context.get(yield* rig.open(), EventLog)
        const seen: LogEntry[] = []
        const reader = yield* Effect.forkChild(
          Stream.runForEachWhile(log.feed(0), (batch) =>
            Effect.sync(() => {
              seen.push(...batch)
              return seen.length < 20
            }),
          ),
        )
        // As callers do: whether an append whose reply was lost is in the log, the log tells.
        const append = (n: number): Effect.Effect<number, BerthError> => {
          const subject = stateSubject(`t${n}`)
          return log
            .append(subject, 0, submitted({ id: `t${n}` }))
            .pipe(
              Effect.catch((error) =>
                error.code === "STORE_UNAVAILABLE" || error.code === "VERSION_CONFLICT"
                  ? Effect.flatMap(log.after(subject, 0), (mine) =>
                      mine === null ? append(n) : Effect.succeed(mine.seq),
                    )
                  : Effect.fail(error),
              ),
            )
        }
        const seqs: number[] = []
        for (let n = 0; n < 10; n++) seqs.push(yield* append(n))
        yield* Effect.promise(() => rig.restart())
        for (let n = 10; n < 20; n++) seqs.push(yield* append(n))
        yield* Fiber.join(reader)
        expect(seen.map((entry) => entry.seq)).toEqual(seqs)
      }),
    ))
})
