/** An attempt's output on its way into a log in memory, and whether every byte is there once. */
import { Effect } from "effect"
import { expect } from "vitest"
import { makeOutput } from "../../actors/output.ts"
import { LIMITS } from "../../core/limits.ts"
import type { OutputItem, OutputRecord } from "../../core/record.ts"
import type { OutputStream } from "../../core/words.ts"
import type { Rig } from "./actorRig.ts"

export const HEAD = LIMITS.outputHeadBytesMax
export const TAIL = LIMITS.outputTailBytesMax
export const CHUNK = LIMITS.chunkBytesMax
/** Bytes that tell their own offset, so that a wrong one is seen. */
export const bytesAt = (offset: number, count: number): Uint8Array =>
  Uint8Array.from({ length: count }, (_, n) => ((offset + n) * 31 + ((offset + n) >> 8)) & 255)

export const outputWriter = async (rig: Rig, more: { readonly from?: number; readonly live?: OutputRecord[] } = {}) => {
  const output = await rig.run(
    makeOutput({
      log: rig.log,
      clock: rig.clock,
      flushMs: 50,
      sendLive: (record) => Effect.sync(() => void more.live?.push(record)),
      taskId: "t1",
      owner: "ann",
      attempt: 1,
      epoch: 1,
      onAppended: Effect.void,
      offsets: { stdout: more.from ?? 0, stderr: 0 },
    }),
  )
  const write = (offset: number, count: number, stream: OutputStream = "stdout"): Promise<void> =>
    rig.run(output.write(stream, offset, bytesAt(offset, count)))
  return { ...output, output, put: write }
}
export const recordsOf = async (rig: Rig): Promise<readonly OutputRecord[]> =>
  (await rig.run(rig.store.log.readTask("t1", 0, 10_000))).map(({ record }) => record as OutputRecord)
export const itemsOf = async (rig: Rig): Promise<readonly OutputItem[]> =>
  (await recordsOf(rig)).flatMap(({ items }) => items)

/** Checks that chunks and gaps of one stream follow one another exactly, and that every byte is the right one. */
export async function expectExact(
  rig: Rig,
  totalBytes: number,
  stream: OutputStream = "stdout",
  from = 0,
): Promise<number> {
  let at = from
  let gapBytes = 0
  for (const item of await itemsOf(rig)) {
    if (item.type === "progress" || item.stream !== stream) continue
    expect(item.offset).toBe(at)
    if (item.type === "gap") gapBytes += item.bytes ?? 0
    else expect(Buffer.from(item.bytes).equals(bytesAt(at, item.bytes.length))).toBe(true)
    at += item.type === "gap" ? (item.bytes ?? 0) : item.bytes.length
  }
  expect(at).toBe(totalBytes)
  return gapBytes
}
