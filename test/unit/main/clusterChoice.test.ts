import { describe, expect, it } from "vitest"
import { resolveConfig } from "../../../core/config.ts"
import { clusterEnvironment } from "../../../gateway/main/clusterChoice.ts"

const leaseMsOf = (replicas: number, environment: Readonly<Record<string, string>> = {}, given = {}): number =>
  resolveConfig(given, clusterEnvironment(environment, replicas)).leaseMs

describe("a worker's lease", () => {
  it("is 10 s, and 20 s where three servers have to agree, unless somebody says otherwise", () => {
    expect([leaseMsOf(1), leaseMsOf(3), leaseMsOf(5)]).toEqual([10_000, 20_000, 20_000])
    expect(leaseMsOf(3, { BERTH_LEASE_MS: "15000" })).toBe(15_000)
    expect(leaseMsOf(3, {}, { leaseMs: 12_000 })).toBe(12_000)
  })
})
