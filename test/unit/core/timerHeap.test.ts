/** Does the heap answer like a sorted array? */
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { TimerHeap } from "../../../core/timerHeap.ts"

const key = fc.nat({ max: 12 })
const at = fc.nat({ max: 100 })
const steps = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.record({ type: fc.constant("put" as const), key, at }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant("remove" as const), key }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant("take" as const), at }) },
  ),
  { maxLength: 200 },
)

describe("timers by key", () => {
  it("agree with a sorted array after every step", () => {
    fc.assert(
      fc.property(steps, (history) => {
        const heap = new TimerHeap<number>()
        const model = new Map<number, number>()
        for (const step of history) {
          if (step.type === "put") {
            heap.put(step.key, step.at)
            model.set(step.key, step.at)
          } else if (step.type === "remove") {
            heap.remove(step.key)
            model.delete(step.key)
          } else {
            const due = heap.takeDue(step.at)
            const expected = [...model].filter(([, time]) => time <= step.at)
            const times = due.map((taken) => model.get(taken) ?? Number.NaN)
            expect(times).toEqual(times.toSorted((a, b) => a - b))
            expect(due.toSorted((a, b) => a - b)).toEqual(expected.map(([taken]) => taken).toSorted((a, b) => a - b))
            for (const taken of due) model.delete(taken)
          }
          expect(heap.size).toBe(model.size)
          expect(heap.nextAt()).toBe(model.size === 0 ? null : Math.min(...model.values()))
          for (let each = 0; each <= 12; each += 1) expect(heap.has(each)).toBe(model.has(each))
        }
      }),
      { numRuns: 500 },
    )
  })

  it("moving one timer to and fro leaves one timer", () => {
    const heap = new TimerHeap<string>()
    for (const time of [5, 1, 9, 3]) heap.put("a", time)
    heap.put("b", 4)
    expect(heap.size).toBe(2)
    expect(heap.takeDue(10)).toEqual(["a", "b"])
    expect(heap.nextAt()).toBeNull()
  })
})
