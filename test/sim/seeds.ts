/** Seeds that once found a defect, each with what it found; they are run before all others. */
export const BAD_SEEDS: readonly number[] = [
  // A wake-up that came again while its task was still being started was acked before `started` was durable (I4).
  1036,
]
