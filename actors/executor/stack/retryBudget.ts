import {
  balance,
  deposit,
  RETRY_BUDGET_LIMITS,
  type RetryBudget,
  type RetryBudgetLimits,
  withdraw,
} from "../../../core/policy/retryBudget.ts"
import type { Clock } from "../../../core/ports/clock.ts"

/** The repeats that this process may still make. One is shared by all its backends. */
export class SharedRetryBudget {
  readonly #limits: RetryBudgetLimits
  readonly #clock: Clock["Service"]
  #budget: RetryBudget = []

  constructor(limits: RetryBudgetLimits, clock: Clock["Service"]) {
    this.#limits = limits
    this.#clock = clock
  }

  /** A first call was made. */
  deposit(): void {
    this.#budget = deposit(this.#limits, this.#budget, this.#clock.monoMs())
  }

  /** Takes one repeat; false when there is none left. */
  tryWithdraw(): boolean {
    const next = withdraw(this.#limits, this.#budget, this.#clock.monoMs())
    if (next === null) return false
    this.#budget = next
    return true
  }

  /** Repeats that could be made now. */
  balance(): number {
    return Math.floor(balance(this.#limits, this.#budget, this.#clock.monoMs()))
  }
}

/** The budget of one process, with the usual limits. */
export const makeRetryBudget = (clock: Clock["Service"]): SharedRetryBudget =>
  new SharedRetryBudget(RETRY_BUDGET_LIMITS, clock)
