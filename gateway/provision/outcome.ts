/**
 * What one step of provisioning found or did.
 *
 * `present`: it was there already. `made`: it was got now. `missing`: it cannot be had here, and `detail` says how to
 * get it. `failed`: it should have worked and did not, and `detail` says what went wrong.
 */
export interface Outcome {
  readonly what: string
  readonly status: "present" | "made" | "missing" | "failed"
  readonly detail: string
}

export const isThere = (outcome: Outcome): boolean => outcome.status === "present" || outcome.status === "made"

/** What was thrown, for an outcome's detail. */
export const reasonOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown))

/** Hears of every outcome and of what is going on in between. */
export interface Reporter {
  readonly note: (line: string) => void
  readonly outcome: (outcome: Outcome) => void
}
