import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { TaskView } from "../../../actors/api.ts"
import type { TaskEvent } from "../../../gateway/client/events.ts"
import { WatchCursor } from "../../../gateway/client/watchCursor.ts"

const bytes = (text: string) => new TextEncoder().encode(text)
const output = (seq: number | null, offset: number, text: string, epoch = 1): TaskEvent => ({
  type: "output",
  seq,
  taskId: "t",
  attempt: 1,
  epoch,
  stream: "stdout",
  offset,
  bytes: bytes(text),
})
const gap = (seq: number | null, offset: number, size: number | null, epoch = 1): TaskEvent => ({
  type: "gap",
  seq,
  taskId: "t",
  attempt: 1,
  epoch,
  stream: "stdout",
  offset,
  bytes: size,
})
const progress = (seq: number, data: unknown, epoch = 1): TaskEvent => ({
  type: "progress",
  seq,
  taskId: "t",
  attempt: 1,
  epoch,
  data,
  atMs: 0,
})
const state = (seq: number, facts: readonly string[], epoch: number): TaskEvent => ({
  type: "state",
  seq,
  taskId: "t",
  facts,
  task: { epoch } as TaskView,
})

const accepted = (cursor: WatchCursor, events: readonly TaskEvent[]) => events.flatMap((event) => cursor.accept(event))
const short = (event: TaskEvent) =>
  event.type === "output"
    ? `${event.seq}:${event.offset}:${new TextDecoder().decode(event.bytes)}`
    : event.type === "gap"
      ? `${event.seq}:${event.offset}:gap ${event.bytes}`
      : event.type === "progress"
        ? `${event.seq}:progress ${JSON.stringify(event.data)}`
        : `${event.seq}:${event.type}`

describe("what does a cursor let through?", () => {
  it("W1: nothing at or below the sequence it began after, everything else in order", () => {
    const cursor = new WatchCursor(5)
    expect(accepted(cursor, [state(4, ["submitted"], 0), state(6, ["started"], 1)]).map(short)).toEqual(["6:state"])
  })

  it("W1: both events of one record, and neither of them twice after a cut between them", () => {
    const cursor = new WatchCursor(0)
    const record = [output(2, 0, "ab"), progress(2, 1), progress(2, 2), gap(2, 2, 3)]
    const begun = accepted(cursor, [state(1, ["started"], 1), ...record.slice(0, 2)])
    expect(cursor.resume()).toBe(1)
    expect([...begun, ...accepted(cursor, [...record, output(3, 5, "f")])].map(short)).toEqual([
      "1:state",
      "2:0:ab",
      "2:progress 1",
      "2:progress 2",
      "2:2:gap 3",
      "3:5:f",
    ])
  })

  it("W2: of kept output that repeats live output, only the part that is new", () => {
    const cursor = new WatchCursor(0, 4)
    const events = [
      state(1, ["started"], 1),
      output(2, 0, "head"),
      output(null, 4, "live"),
      gap(3, 4, 2),
      output(3, 6, "vetail"),
    ]
    expect(accepted(cursor, events).map(short)).toEqual(["1:state", "2:0:head", "null:4:live", "3:8:tail"])
  })

  it("W3: a gap where live output did not arrive, and one event where the log says the same", () => {
    const cursor = new WatchCursor(0, 2)
    const events = [
      state(1, ["started"], 1),
      output(2, 0, "ab"),
      output(null, 5, "fg"),
      gap(3, 2, 6),
      output(3, 8, "i"),
    ]
    expect(accepted(cursor, events).map(short)).toEqual([
      "1:state",
      "2:0:ab",
      "null:2:gap 3",
      "null:5:fg",
      "3:7:gap 1",
      "3:8:i",
    ])
  })

  it("W3: a gap of unknown size once, and then the bytes behind it wherever they begin", () => {
    const cursor = new WatchCursor(0)
    const record = [output(2, 0, "ab"), gap(2, 2, null), output(2, 90, "z")]
    accepted(cursor, [state(1, ["started"], 1)])
    expect(accepted(cursor, record).map(short)).toEqual(["2:0:ab", "2:2:gap null", "2:90:z"])
    cursor.resume()
    expect(accepted(cursor, record)).toEqual([])
  })

  it("W5: live output that is quicker than the log, in its place", () => {
    const cursor = new WatchCursor(0, 4)
    const events = [
      output(null, 4, "live"),
      state(1, ["started"], 1),
      output(null, 8, "more"),
      output(2, 0, "he"),
      output(3, 2, "ad"),
      output(null, 12, "!"),
    ]
    expect(accepted(cursor, events).map(short)).toEqual([
      "1:state",
      "2:0:he",
      "3:2:ad",
      "null:4:live",
      "null:8:more",
      "null:12:!",
    ])
  })

  it("W5: of live output that waits too long, the newest", () => {
    const cursor = new WatchCursor(0, 4)
    const mebibyte = "x".repeat(1024 * 1024)
    const early = Array.from({ length: 5 }, (_, at) => output(null, 4 + at * mebibyte.length, mebibyte))
    expect(accepted(cursor, [state(1, ["started"], 1), ...early]).map((event) => event.type)).toEqual(["state"])
    expect(
      accepted(cursor, [output(2, 0, "head")]).map((event) => [event.type, event.type === "gap" ? event.bytes : 0]),
    ).toEqual([["output", 0], ["gap", mebibyte.length], ...Array.from({ length: 4 }, () => ["output", 0])])
  })

  it("W4: nothing that an overtaken holder printed, and a new run from its beginning", () => {
    const cursor = new WatchCursor(0)
    const events = [
      state(1, ["started"], 1),
      output(2, 0, "old"),
      state(3, ["lost"], 1),
      state(4, ["started"], 2),
      output(5, 3, "stale", 1),
      progress(6, "stale", 1),
      output(7, 0, "new", 2),
    ]
    expect(accepted(cursor, events).map(short)).toEqual(["1:state", "2:0:old", "3:state", "4:state", "7:0:new"])
  })

  it("goes on at the same offset when a run is adopted", () => {
    const cursor = new WatchCursor(0)
    const events = [state(1, ["started"], 1), output(2, 0, "abc"), state(3, ["adopted"], 2), output(4, 2, "cd", 2)]
    expect(accepted(cursor, events).map(short)).toEqual(["1:state", "2:0:abc", "3:state", "4:3:d"])
  })

  it("takes the first bytes it sees where it began in the middle", () => {
    const cursor = new WatchCursor(10)
    expect(accepted(cursor, [output(11, 700, "x"), output(12, 701, "y")]).map(short)).toEqual(["11:700:x", "12:701:y"])
  })
})

/** Records of one run: pieces of two streams, some only sent live, with repeats as pipelined writes make them. */
const pieces = fc.array(
  fc.record({
    stream: fc.constantFrom("stdout" as const, "stderr" as const),
    size: fc.integer({ min: 1, max: 9 }),
    live: fc.boolean(),
    sibling: fc.boolean(),
    repeated: fc.boolean(),
  }),
  { maxLength: 40 },
)

describe("however a watch is cut", () => {
  it("W1, W2, W3: every byte of a stream is shown once or is in a gap, and sequences never fall", () => {
    fc.assert(
      fc.property(pieces, fc.array(fc.integer({ min: 0, max: 100 }), { maxLength: 8 }), (made, cuts) => {
        const { log, totals } = logOf(made)
        const cursor = new WatchCursor(0, 0)
        const seen: TaskEvent[] = []
        let fromSeq = 0
        for (const cut of [...cuts, log.length]) {
          // What was only sent live is there for whoever watches the first time.
          const sent = log.filter((event) => (event.seq === null ? fromSeq === 0 : event.seq > fromSeq))
          for (const event of sent.slice(0, cut)) seen.push(...cursor.accept(event))
          fromSeq = cursor.resume()
        }
        const seqs = seen.map((event) => event.seq).filter((seq) => seq !== null)
        expect(seqs).toEqual([...seqs].sort((left, right) => left - right))
        for (const stream of ["stdout", "stderr"] as const) {
          let at = 0
          for (const event of seen) {
            if ((event.type !== "output" && event.type !== "gap") || event.stream !== stream) continue
            expect(event.offset).toBe(at)
            at += event.type === "gap" ? (event.bytes ?? 0) : event.bytes.length
            // A byte's value is its offset: what is shown is what was printed there.
            if (event.type === "output")
              event.bytes.forEach((byte, index) => expect(byte).toBe((event.offset + index) % 256))
          }
          expect(at).toBe(totals[stream])
        }
      }),
      { numRuns: 500 },
    )
  })
})

describe("however quick live output is", () => {
  it("W5: what the log keeps of the beginning is shown as output, in order, and all the rest is output or gap", () => {
    const HEAD = 40
    const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 30 })
    fc.assert(
      fc.property(
        sizes,
        fc.array(fc.tuple(fc.integer({ min: 0, max: 29 }), fc.integer({ min: 0, max: 20 })), { maxLength: 12 }),
        (made, early) => {
          let seq = 1
          let offset = 0
          const log: TaskEvent[] = [state(1, ["started"], 1)]
          for (const size of made) {
            const text = "x".repeat(size)
            // As a writer does it: what still fits into the head is kept, what is beyond it is only sent live.
            if (offset + size <= HEAD) log.push(output(++seq, offset, text))
            else if (offset >= HEAD) log.push(output(null, offset, text))
            else
              log.push(
                output(++seq, offset, text.slice(0, HEAD - offset)),
                output(null, HEAD, text.slice(HEAD - offset)),
              )
            offset += size
          }
          if (offset > HEAD) log.push(gap(++seq, HEAD, offset - HEAD))
          const sent = [...log]
          for (const [at, by] of early) {
            const event = sent[at]
            if (event?.seq !== null) continue
            sent.splice(at, 1)
            sent.splice(Math.max(0, at - by), 0, event)
          }
          let shown = 0
          for (const event of accepted(new WatchCursor(0, HEAD), sent)) {
            if (event.type !== "output" && event.type !== "gap") continue
            expect(event.offset).toBe(shown)
            if (event.offset < HEAD) expect(event.type).toBe("output")
            shown += event.type === "gap" ? (event.bytes ?? 0) : event.bytes.length
          }
          expect(shown).toBe(offset)
        },
      ),
      { numRuns: 500 },
    )
  })
})

type Piece = typeof pieces extends fc.Arbitrary<readonly (infer P)[]> ? P : never

/** The log that these pieces make: bytes whose value is their offset, and a gap for what was only sent live. */
function logOf(made: readonly Piece[]) {
  const totals = { stdout: 0, stderr: 0 }
  const kept = { stdout: 0, stderr: 0 }
  let seq = 1
  const log: TaskEvent[] = [state(1, ["started"], 1)]
  const chunk = (at: number | null, stream: "stdout" | "stderr", offset: number, size: number): TaskEvent => ({
    ...(output(at, offset, "") as Extract<TaskEvent, { type: "output" }>),
    stream,
    bytes: Uint8Array.from({ length: size }, (_, index) => (offset + index) % 256),
  })
  const fill = (stream: "stdout" | "stderr", upTo: number) => {
    if (kept[stream] === upTo) return
    const missing = gap(++seq, kept[stream], upTo - kept[stream]) as Extract<TaskEvent, { type: "gap" }>
    log.push({ ...missing, stream })
    kept[stream] = upTo
  }
  for (const { stream, size, live, sibling, repeated } of made) {
    const offset = totals[stream]
    totals[stream] += size
    if (live) {
      log.push(chunk(null, stream, offset, size))
      continue
    }
    fill(stream, offset)
    if (!sibling || seq === 1) seq += 1
    log.push(chunk(seq, stream, offset, size))
    kept[stream] = totals[stream]
    if (repeated) log.push(chunk(++seq, stream, offset, size))
  }
  fill("stdout", totals.stdout)
  fill("stderr", totals.stderr)
  return { log, totals }
}
