/** Seeds that once found a defect, each with what it found; they are run before all others. */
export const BAD_SEEDS: readonly number[] = []
