import { expect, it } from "vitest"
import { holds } from "../../bench/gates/gate.ts"
import { OUTPUT_BOUNDS, print } from "../../bench/gates/output.ts"
import { describeWithDocker } from "../support/require.ts"

const MIB = 1024 * 1024

describeWithDocker("a program that prints without end", () => {
  it("512 MiB: is memory flat, the disk bounded, and are head, tail and totals in the result?", async () => {
    const printed = await print(512 * MIB)
    expect(printed.faults).toEqual([])
    expect(holds(OUTPUT_BOUNDS.rssGrowthMib, printed.rssGrowthMib), `${printed.rssGrowthMib} MiB of memory`).toBe(true)
    expect(holds(OUTPUT_BOUNDS.diskMib, printed.diskMib), `${printed.diskMib} MiB of disk`).toBe(true)
    // The log of the container is among what was measured.
    expect(printed.diskMib).toBeGreaterThan(4)
  })
})
