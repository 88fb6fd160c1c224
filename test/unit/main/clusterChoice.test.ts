import { describe, expect, it } from "vitest"
import { resolveConfig } from "../../../core/config.ts"
import { clusterChoice, clusterEnvironment } from "../../../gateway/main/clusterChoice.ts"

const leaseMsOf = (replicas: number | null, environment: Readonly<Record<string, string>> = {}, given = {}): number => {
  const nats = { servers: "nats://n1:4222", ...(replicas === null ? {} : { replicas }) }
  const cluster = clusterChoice({ nats, roles: [], secret: null, place: "own" })
  return resolveConfig(given, clusterEnvironment(environment, cluster)).leaseMs
}

describe("a worker's lease", () => {
  it("is 10 s, and 20 s where three servers have to agree, unless somebody says otherwise", () => {
    expect([leaseMsOf(null), leaseMsOf(1), leaseMsOf(3), leaseMsOf(5)]).toEqual([10_000, 10_000, 20_000, 20_000])
    expect(leaseMsOf(3, { BERTH_LEASE_MS: "15000" })).toBe(15_000)
    expect(leaseMsOf(3, {}, { leaseMs: 12_000 })).toBe(12_000)
    expect(resolveConfig({}, clusterEnvironment({}, null)).leaseMs).toBe(10_000)
  })
})
