import { Effect } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { EngineStream } from "../../../../actors/executor/docker/engineStream.ts"
import { Listener } from "../../../../actors/executor/docker/listen.ts"
import type { OutputStream } from "../../../../core/words.ts"

const NONCE = "ab".repeat(16)
const END = "end run exit 3 5 9000 1048576 0"

const frame = (stream: OutputStream, body: string): Buffer => {
  const bytes = Buffer.from(body)
  const head = Buffer.alloc(8)
  head[0] = stream === "stdout" ? 1 : 2
  head.writeUInt32BE(bytes.length, 4)
  return Buffer.concat([head, bytes])
}
const marker = (words: string) => `\x1e${NONCE} ${words}\n`

/** What a container prints: both begins, output, both ends. */
const printed = (out: string, err = "") =>
  Buffer.concat([
    frame("stdout", marker("begin")),
    frame("stderr", marker("begin")),
    frame("stdout", out),
    frame("stderr", err),
    frame("stdout", marker(END)),
    frame("stderr", marker(END)),
  ])

const record = () => {
  const told: string[] = []
  const text = { stdout: "", stderr: "" }
  const sink = {
    began: Effect.sync(() => void told.push("began")),
    write: (stream: OutputStream, offset: number, bytes: Uint8Array) =>
      Effect.sync(() => {
        expect(bytes.length).toBeGreaterThan(0)
        told.push(`${stream}@${offset}+${bytes.length}`)
        text[stream] += Buffer.from(bytes).toString("latin1")
      }),
    lost: (stream: OutputStream, offset: number, bytes: number | null) =>
      Effect.sync(() => void told.push(`lost ${stream}@${offset} ${bytes}`)),
    progress: () => Effect.void,
  }
  return { told, text, sink }
}

const listenerOf = (
  sink: ReturnType<typeof record>["sink"],
  more: Partial<ConstructorParameters<typeof Listener>[0]> = {},
) =>
  new Listener({
    nonce: NONCE,
    sink,
    onBegan: () => {},
    from: { stdout: 0, stderr: 0 },
    bootstrapped: true,
    source: "log",
    ...more,
  })

const listen = (listener: Listener, bytes: Buffer) => Effect.runPromise(listener.listen(EngineStream.of(bytes)))

describe("what is told of what a container prints? (LI1 to LI5)", () => {
  it("LI1, LI2, LI5: begin first, exact offsets, no marker, and the report at the end", async () => {
    const { told, text, sink } = record()
    const heard = await listen(listenerOf(sink), printed("hello\n", "oh"))
    expect(heard).toMatchObject({ kind: "ended", end: { status: 3, cpuMs: 9 } })
    expect(told).toEqual(["began", "stdout@0+6", "stderr@0+2"])
    expect(text).toEqual({ stdout: "hello\n", stderr: "oh" })
  })

  it("LI3: whatever the offsets, the rest is told once and nothing empty", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ minLength: 1, maxLength: 9 }), { maxLength: 6 }),
        fc.nat(60),
        async (parts, from) => {
          const { text, sink } = record()
          const whole = parts.join("")
          const bytes = Buffer.concat([
            frame("stdout", marker("begin")),
            frame("stderr", marker("begin")),
            ...parts.flatMap((part) => [frame("stdout", part), frame("stderr", "")]),
            frame("stdout", marker(END)),
            frame("stderr", marker(END)),
          ])
          await listen(listenerOf(sink, { from: { stdout: from, stderr: 0 } }), bytes)
          expect(text.stdout).toBe(whole.slice(from))
        },
      ),
      { numRuns: 100 },
    )
  })

  it("LI4: a log without its beginning is cut; after a look through it both streams say so and go on", async () => {
    const { told, text, sink } = record()
    const listener = listenerOf(sink, { from: { stdout: 7, stderr: 2 } })
    const rest = Buffer.concat([frame("stdout", "tail of something"), frame("stderr", "")])
    expect(await listen(listener, rest)).toEqual({ kind: "cut" })
    listener.skip()
    expect(await listen(listener, rest)).toMatchObject({ kind: "closed" })
    await Effect.runPromise(listener.resumeAfterCut)
    const live = Buffer.concat([frame("stdout", "new"), frame("stdout", marker(END)), frame("stderr", marker(END))])
    expect(await listen(listener, live)).toMatchObject({ kind: "ended" })
    expect(told).toEqual(["began", "lost stdout@7 null", "lost stderr@2 null", "stdout@7+3"])
    expect(text.stdout).toBe("new")
  })

  it("LI4: an end without a begin is a cut too, and noise before an attached begin is not", async () => {
    const ends = Buffer.concat([frame("stdout", marker(END)), frame("stderr", marker(END))])
    expect(await listen(listenerOf(record().sink), ends)).toEqual({ kind: "cut" })
    const { text, sink } = record()
    const noisy = Buffer.concat([frame("stderr", "init: hello\n"), printed("x")])
    expect(await listen(listenerOf(sink, { source: "attached" }), noisy)).toMatchObject({ kind: "ended" })
    expect(text).toEqual({ stdout: "x", stderr: "" })
  })

  it("LI5: one end marker is not the end, and a stream that closes before is not either", async () => {
    const half = printed("x").subarray(0, printed("x").length - 5)
    expect(await listen(listenerOf(record().sink), half)).toEqual({ kind: "closed", clean: false })
    const one = Buffer.concat([
      frame("stdout", marker("begin")),
      frame("stderr", marker("begin")),
      frame("stdout", marker(END)),
    ])
    expect(await listen(listenerOf(record().sink), one)).toEqual({ kind: "closed", clean: true })
  })

  it("a feed that did not arrive is told as such, and nothing began", async () => {
    const { told, sink } = record()
    const listener = listenerOf(sink, { source: "attached" })
    expect(await listen(listener, frame("stderr", marker("incomplete 2")))).toEqual({ kind: "incomplete" })
    expect([told, listener.began]).toEqual([[], false])
  })

  it("without a shell every byte is output, and a begin is told although none is printed", async () => {
    const { told, text, sink } = record()
    const heard = await listen(listenerOf(sink, { bootstrapped: false }), frame("stdout", marker("begin")))
    expect(heard).toEqual({ kind: "closed", clean: true })
    expect([told[0], text.stdout]).toEqual(["began", marker("begin")])
  })
})
