/** One number of a scenario's report, with its unit in its name. */
export type Report = Readonly<Record<string, number | string | boolean>>

export interface Scenario {
  readonly name: string
  /** What is measured, in one line. */
  readonly help: string
  readonly measure: (options: { readonly nats: boolean }) => Promise<Report>
  /** Takes minutes: runs only when it is named. */
  readonly onlyByName?: boolean
}

/** The value below which `ratio` of the sorted values lie. */
export const quantile = (values: readonly number[], ratio: number): number => {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * ratio))] ?? Number.NaN
}

export const rounded = (value: number, digits = 2): number => Number(value.toFixed(digits))
