/** Does a feed go on when its consumer has died without a word? */
import type { Consumer, ConsumerMessages } from "@nats-io/jetstream"
import { Effect, Stream } from "effect"
import { describe, expect, it, vi } from "vitest"
import { berthError } from "../../../core/errors.ts"
import type { LogEntry, LogRecord } from "../../../core/record.ts"
import { logFeed } from "../../../store/jetstream/feed.ts"
import { Arrivals } from "../../../store/jetstream/feedConsumer.ts"
import { makeSharedFeed } from "../../../store/jetstream/sharedFeed.ts"
import type { Link } from "../../../store/jetstream/link.ts"
import { liveClock, manualClock } from "../../support/clock.ts"

/** A log of so many messages, whose consumers bring nothing beyond what `brings` says, one entry for each that is made. */
const linkOf = (count: number, brings: readonly (readonly number[] | "refused")[], outages = 0) => {
  const begun: number[] = []
  const stopped: number[] = []
  const ended: number[] = []
  const message = (seq: number) => ({ seq, subject: "s", data: new Uint8Array(0) })
  const consume = (index: number) => {
    const given = brings[index] ?? []
    if (given === "refused") throw berthError("STORE_UNAVAILABLE", "nobody makes consumers")
    let at = 0
    return {
      [Symbol.asyncIterator]: () => ({
        next: () =>
          at < given.length
            ? Promise.resolve({ done: false, value: message(given[at++] as number) })
            : new Promise(() => {}),
      }),
      stop: () => void stopped.push(index),
    }
  }
  const consumers = {
    get: async (_: string, { opt_start_seq }: { readonly opt_start_seq: number }) => {
      const index = begun.push(opt_start_seq) - 1
      return { consume: async () => consume(index), delete: async () => void ended.push(index) }
    },
  }
  const link = {
    js: { consumers },
    ask: (_: string, question: () => Promise<unknown>) => Effect.tryPromise({ try: question, catch: (error) => error }),
    firstAfter: (_: string, __: string, seq: number) =>
      outages-- > 0
        ? Effect.fail(berthError("STORE_UNAVAILABLE", "the log has no leader"))
        : Effect.succeed(seq < count ? message(seq + 1) : null),
  }
  return { link: link as unknown as Link, begun, stopped, ended }
}
const read = (link: Link, entries: number): Promise<readonly number[]> =>
  Effect.runPromise(
    logFeed({ link, clock: liveClock, stream: "log", decode: (seq) => seq }, 0).pipe(
      Stream.flattenIterable,
      Stream.take(entries),
      Stream.runCollect,
      Effect.scoped,
    ),
  )

describe("a feed that readers share", () => {
  it("SF2 goes on where it was when the log could not be asked for a while, and begins nothing anew", async () => {
    const { begun, link } = linkOf(3, [[1, 2], [3]], 1)
    const decode = (seq: number): LogEntry => ({ seq, subject: "s", record: {} as LogRecord })
    const seen = await Effect.runPromise(
      Effect.gen(function* () {
        const shared = yield* makeSharedFeed({ link, clock: liveClock, stream: "log", head: Effect.succeed(0), decode })
        return yield* shared.after(0).pipe(Stream.flattenIterable, Stream.take(3), Stream.runCollect)
      }).pipe(Effect.scoped),
    )
    expect(seen.map(({ seq }) => seq)).toEqual([1, 2, 3])
    expect(begun).toEqual([1, 3])
  })
})

describe("a feed", () => {
  it("F5 F1 reads one by one what a consumer that fell silent does not bring, and each entry once when it does", async () => {
    const { begun, link } = linkOf(6, [[1, 2]])
    expect(await read(link, 6)).toEqual([1, 2, 3, 4, 5, 6])
    expect(begun).toEqual([1])
    // One that is late brings again what was read already.
    expect(await read(linkOf(4, [[], [1, 2, 3, 4, 5]]).link, 5)).toEqual([1, 2, 3, 4, 5])
  })

  it("F5 takes another consumer for one that stays silent, as soon as one can be had", async () => {
    const { begun, ended, link, stopped } = linkOf(2, [[1], "refused", [3]])
    expect(await read(link, 3)).toEqual([1, 2, 3])
    expect(begun).toEqual([1, 3, 3])
    expect(stopped).toEqual([0, 2])
    expect(ended).toEqual([0, 2])
  })

  it("F5 leaves a consumer alone that is silent because there is nothing", async () => {
    const { begun, link } = linkOf(2, [[1, 2]])
    const late = Effect.runPromise(
      Stream.runCollect(
        Stream.take(logFeed({ link, clock: liveClock, stream: "log", decode: (seq) => seq }, 0), 2),
      ).pipe(Effect.timeoutOption(2_500), Effect.scoped),
    )
    expect((await late)._tag).toBe("None")
    expect(begun).toEqual([1])
  })

  it("leaves nothing behind for each time that nothing came", async () => {
    const clock = manualClock()
    const never = new Promise<never>(() => {})
    const listens = vi.spyOn(never, "then")
    const messages = { [Symbol.asyncIterator]: () => ({ next: () => never }) }
    const arrivals = new Arrivals({} as Consumer, messages as unknown as ConsumerMessages)
    for (let round = 0; round < 1_000; round += 1) {
      const batch = arrivals.batch(clock, 1_000)
      await clock.advance(1_000)
      expect(await batch).toBe("quiet")
    }
    expect(listens).toHaveBeenCalledTimes(1)
  })
})
