/** Is an entry decoded once for all feeds, and never taken for another? */
import { expect, it } from "vitest"
import type { LogEntry } from "../../../core/record.ts"
import { decodeOnce } from "../../../store/jetstream/decodeOnce.ts"
import { submitted } from "../../support/task.ts"

const counting = () => {
  let count = 0
  const decode = decodeOnce((seq, subject, bytes): LogEntry => {
    count += 1
    return { seq, subject, record: submitted({ id: `n${bytes.byteLength}` }) }
  })
  return { decode, count: () => count }
}
const bytes = (...values: readonly number[]): Uint8Array => Uint8Array.from(values)

it("the same bytes under the same sequence are decoded once", () => {
  const { count, decode } = counting()
  expect(decode(7, "t.a.s", bytes(1, 2))).toBe(decode(7, "t.a.s", bytes(1, 2)))
  expect(count()).toBe(1)
})

it("other bytes, another subject or another sequence are decoded", () => {
  const { count, decode } = counting()
  decode(7, "t.a.s", bytes(1, 2))
  decode(7, "t.a.s", bytes(1, 3))
  decode(7, "t.b.s", bytes(1, 3))
  decode(8, "t.b.s", bytes(1, 3))
  expect(count()).toBe(4)
})

it("what is large is not kept, and of the small ones not more than some", () => {
  const { count, decode } = counting()
  const large = new Uint8Array(8 * 1024 + 1)
  decode(1, "t.a.o", large)
  decode(1, "t.a.o", large)
  expect(count()).toBe(2)
  for (let seq = 10; seq < 10 + 1_025; seq += 1) decode(seq, "t.a.s", bytes(1))
  decode(1_034, "t.a.s", bytes(1))
  expect(count()).toBe(2 + 1_025)
  decode(10, "t.a.s", bytes(1))
  expect(count()).toBe(2 + 1_026)
})
