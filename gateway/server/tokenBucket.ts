/** A token bucket: `perSecond` sustained, `burst` at once. Pure: the caller says what time it is. */
export interface TokenBucket {
  readonly tokens: number
  readonly atMonoMs: number
}

export const fullBucket = (burst: number, nowMonoMs: number): TokenBucket => ({ tokens: burst, atMonoMs: nowMonoMs })

/** Takes `cost` tokens, at most a whole burst; `granted` is false, and nothing is taken, when there are not so many. */
export function takeTokens(
  bucket: TokenBucket,
  perSecond: number,
  burst: number,
  nowMonoMs: number,
  cost: number,
): { readonly bucket: TokenBucket; readonly granted: boolean } {
  const elapsedMs = Math.max(0, nowMonoMs - bucket.atMonoMs)
  const tokens = Math.min(burst, bucket.tokens + (elapsedMs * perSecond) / 1_000)
  const price = Math.min(cost, burst)
  const granted = tokens >= price
  return { bucket: { tokens: granted ? tokens - price : tokens, atMonoMs: nowMonoMs }, granted }
}
