/** Timers by key, the earliest first: a binary heap with one entry per key. Times are numbers of whatever clock the caller uses. */
export class TimerHeap<K> {
  private readonly keys: K[] = []
  private readonly times = new Map<K, number>()
  private readonly places = new Map<K, number>()

  get size(): number {
    return this.keys.length
  }

  has(key: K): boolean {
    return this.places.has(key)
  }

  nextAt(): number | null {
    const first = this.keys[0]
    return first === undefined ? null : this.timeOf(first)
  }

  /** Sets, or moves, the timer of a key. */
  put(key: K, at: number): void {
    this.times.set(key, at)
    const place = this.places.get(key) ?? this.keys.push(key) - 1
    this.places.set(key, place)
    this.sink(this.rise(place))
  }

  remove(key: K): void {
    const place = this.places.get(key)
    if (place === undefined) return
    const last = this.keys.pop() as K
    this.places.delete(key)
    this.times.delete(key)
    if (place === this.keys.length) return
    this.set(place, last)
    this.sink(this.rise(place))
  }

  /** Removes and returns the keys whose time has come, the earliest first. */
  takeDue(now: number): readonly K[] {
    const due: K[] = []
    for (let first = this.keys[0]; first !== undefined && this.timeOf(first) <= now; first = this.keys[0]) {
      due.push(first)
      this.remove(first)
    }
    return due
  }

  private timeOf(key: K): number {
    return this.times.get(key) ?? Number.POSITIVE_INFINITY
  }

  private timeAt(place: number): number {
    const key = this.keys[place]
    return key === undefined ? Number.POSITIVE_INFINITY : this.timeOf(key)
  }

  private set(place: number, key: K): void {
    this.keys[place] = key
    this.places.set(key, place)
  }

  private swap(one: number, other: number): void {
    const [first, second] = [this.keys[one] as K, this.keys[other] as K]
    this.set(one, second)
    this.set(other, first)
  }

  private rise(start: number): number {
    let place = start
    while (place > 0) {
      const parent = (place - 1) >> 1
      if (this.timeAt(parent) <= this.timeAt(place)) break
      this.swap(parent, place)
      place = parent
    }
    return place
  }

  private sink(start: number): void {
    let place = start
    for (;;) {
      const left = 2 * place + 1
      const smaller = this.timeAt(left + 1) < this.timeAt(left) ? left + 1 : left
      if (this.timeAt(smaller) >= this.timeAt(place)) return
      this.swap(place, smaller)
      place = smaller
    }
  }
}
