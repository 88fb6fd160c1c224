/** A token bucket: `perSecond` sustained, `burst` at once. Pure: the caller says what time it is. */
export interface TokenBucket {
  readonly tokens: number
  readonly atMonoMs: number
}

export const fullBucket = (burst: number, nowMonoMs: number): TokenBucket => ({ tokens: burst, atMonoMs: nowMonoMs })

/** Takes one token; `granted` is false when there is none. */
export function takeToken(
  bucket: TokenBucket,
  perSecond: number,
  burst: number,
  nowMonoMs: number,
): { readonly bucket: TokenBucket; readonly granted: boolean } {
  const elapsedMs = Math.max(0, nowMonoMs - bucket.atMonoMs)
  const tokens = Math.min(burst, bucket.tokens + (elapsedMs * perSecond) / 1_000)
  const granted = tokens >= 1
  return { bucket: { tokens: granted ? tokens - 1 : tokens, atMonoMs: nowMonoMs }, granted }
}
