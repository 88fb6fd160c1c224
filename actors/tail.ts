/** The last `bytesMax` bytes of a stream. Copies what it keeps, so that large chunks can be freed; most streams never need it. */
export class Tail {
  private readonly bytesMax: number
  private ring = new Uint8Array(0)
  private filled = 0
  private end = 0

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax
  }

  push(bytes: Uint8Array): void {
    if (this.ring.length === 0) this.ring = new Uint8Array(this.bytesMax)
    const last = bytes.subarray(Math.max(0, bytes.length - this.ring.length))
    const untilWrap = Math.min(last.length, this.ring.length - this.end)
    this.ring.set(last.subarray(0, untilWrap), this.end)
    this.ring.set(last.subarray(untilWrap), 0)
    this.end = (this.end + last.length) % this.ring.length
    this.filled = Math.min(this.ring.length, this.filled + last.length)
  }

  bytes(): Uint8Array {
    if (this.filled === 0) return this.ring.subarray(0, 0)
    const start = (this.end - this.filled + this.ring.length) % this.ring.length
    const kept = new Uint8Array(this.filled)
    const untilWrap = Math.min(this.filled, this.ring.length - start)
    kept.set(this.ring.subarray(start, start + untilWrap), 0)
    kept.set(this.ring.subarray(0, this.filled - untilWrap), untilWrap)
    return kept
  }
}
