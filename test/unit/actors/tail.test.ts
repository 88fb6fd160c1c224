/** Are the last bytes of a stream exactly its last bytes? */
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Tail } from "../../../actors/tail.ts"

describe("the tail of a stream", () => {
  it("equals slice(-n) of all that was pushed, whatever the chunks", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.array(fc.uint8Array({ maxLength: 100 })), (bytesMax, chunks) => {
        const tail = new Tail(bytesMax)
        let all: number[] = []
        for (const chunk of chunks) {
          tail.push(chunk)
          all = [...all, ...chunk]
          expect([...tail.bytes()]).toEqual(all.slice(-bytesMax))
        }
      }),
      { numRuns: 400 },
    )
  })

  it("keeps copies: a caller's buffer may be used again, and so may the answer", () => {
    const tail = new Tail(4)
    const chunk = Uint8Array.of(1, 2, 3)
    tail.push(chunk)
    chunk.fill(9)
    tail.bytes().fill(8)
    expect([...tail.bytes()]).toEqual([1, 2, 3])
  })

  it("of nothing is nothing", () => {
    expect(new Tail(16).bytes().length).toBe(0)
  })
})
