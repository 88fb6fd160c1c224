/** What a measured number must be. */
export type Bound = { readonly atMost: number } | { readonly atLeast: number } | { readonly exactly: number }

/** One number with a bound: what makes a promise about speed or chance a test. */
export interface Gate {
  readonly name: string
  readonly unit: string
  readonly bound: Bound
  /** The number, measured in full. */
  readonly measure: () => Promise<number>
  /** The same with fewer rounds, for every test run; null where only time is measured. */
  readonly quick: (() => Promise<number>) | null
}

export const holds = (bound: Bound, value: number): boolean => {
  if ("atMost" in bound) return value <= bound.atMost
  return "atLeast" in bound ? value >= bound.atLeast : value === bound.exactly
}

export const boundText = (bound: Bound): string => {
  if ("atMost" in bound) return `≤ ${bound.atMost}`
  return "atLeast" in bound ? `≥ ${bound.atLeast}` : `= ${bound.exactly}`
}

/** The value below which a share of all lies. `values` is not changed. */
export const quantile = (values: ArrayLike<number>, share: number): number => {
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}

export const median = (values: readonly number[]): number => quantile(values, 0.5)
