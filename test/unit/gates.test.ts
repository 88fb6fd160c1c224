import { describe, expect, it } from "vitest"
import { GATES } from "../../bench/gates/all.ts"
import { boundText, holds, median, quantile } from "../../bench/gates/gate.ts"

describe("do the gates hold that count and do not time", () => {
  const quick = GATES.filter((gate) => gate.quick !== null)

  it.each(quick.map((gate) => [gate.name, gate] as const))("%s", async (_name, gate) => {
    const value = (await gate.quick?.()) ?? Number.NaN
    expect(holds(gate.bound, value), `${value} is not ${boundText(gate.bound)}`).toBe(true)
  })

  it("each gate has a name of its own", () => {
    expect(new Set(GATES.map((gate) => gate.name)).size).toBe(GATES.length)
  })
})

describe("what is a bound", () => {
  it("met at the edge and not beyond it; a number that is none meets nothing", () => {
    expect([holds({ atMost: 1 }, 1), holds({ atMost: 1 }, 1.001), holds({ atMost: 1 }, Number.NaN)]).toEqual([
      true,
      false,
      false,
    ])
    expect([holds({ atLeast: 2 }, 2), holds({ atLeast: 2 }, 1.9), holds({ atLeast: 2 }, Number.NaN)]).toEqual([
      true,
      false,
      false,
    ])
    expect([holds({ exactly: 0 }, 0), holds({ exactly: 0 }, 1)]).toEqual([true, false])
  })

  it("quantiles are taken of the sorted numbers", () => {
    expect([quantile([3, 1, 2, 10, 4], 0.5), quantile([1, 2, 3, 4], 0.99), median([5])]).toEqual([3, 4, 5])
  })
})
