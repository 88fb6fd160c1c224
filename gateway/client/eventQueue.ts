/**
 * Between a socket that pushes and a reader that pulls.
 *
 *   Q1. What was put in comes out once and in order; the end, or the failure, comes after all of it.
 *   Q2. When more than `weightMax` waits, the source is told to pause; when all is read, to go on.
 *   Q3. Leaving the loop, in whatever way, tells the source to stop.
 */
export interface QueueSource {
  /** The first read: begin. */
  readonly begin: () => void
  readonly pause: () => void
  readonly resume: () => void
  /** Called once, when nobody reads any more. */
  readonly stop: () => void
}

interface Reader<A> {
  readonly resolve: (next: IteratorResult<A, undefined>) => void
  readonly reject: (cause: unknown) => void
}

/** Items read but still held, from which on they are let go even though more wait behind them. */
const COMPACT_FROM = 1_024
const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined }

/** An async iterable for one reader. Nothing happens before the first `next`. */
export class EventQueue<A> implements AsyncIterableIterator<A, undefined> {
  readonly #source: QueueSource
  readonly #weightMax: number
  readonly #weigh: (item: A) => number
  #items: A[] = []
  #readAt = 0
  #weight = 0
  #readers: Reader<A>[] = []
  #end: { readonly failure?: { readonly cause: unknown } } | null = null
  #begun = false
  #paused = false
  #stopped = false

  constructor(source: QueueSource, weightMax: number, weigh: (item: A) => number) {
    this.#source = source
    this.#weightMax = weightMax
    this.#weigh = weigh
  }

  put(item: A): void {
    if (this.#end !== null) return
    const reader = this.#readers.shift()
    if (reader !== undefined) return reader.resolve({ done: false, value: item })
    this.#items.push(item)
    this.#weight += this.#weigh(item)
    if (this.#weight > this.#weightMax && !this.#paused) {
      this.#paused = true
      this.#source.pause()
    }
  }

  /** Nothing more will come. */
  finish(): void {
    this.#finish({})
  }

  /** The reader gets this error after what is still here. */
  fail(cause: unknown): void {
    this.#finish({ failure: { cause } })
  }

  next(): Promise<IteratorResult<A, undefined>> {
    if (!this.#begun) {
      this.#begun = true
      if (this.#end === null) this.#source.begin()
    }
    const item = this.#items[this.#readAt]
    if (this.#readAt < this.#items.length) return Promise.resolve({ done: false, value: this.#taken(item as A) })
    if (this.#end === null) return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }))
    const { failure } = this.#end
    // An error is told once; after it the iteration is over.
    this.#end = {}
    return failure === undefined ? Promise.resolve(DONE) : Promise.reject(failure.cause)
  }

  return(): Promise<IteratorReturnResult<undefined>> {
    this.#items = []
    this.#readAt = 0
    this.#finish({})
    this.#end = {}
    return Promise.resolve(DONE)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  #taken(item: A): A {
    this.#readAt += 1
    this.#weight -= this.#weigh(item)
    if (this.#readAt === this.#items.length) {
      this.#items = []
      this.#readAt = 0
      this.#weight = 0
      if (this.#paused && this.#end === null) {
        this.#paused = false
        this.#source.resume()
      }
    } else if (this.#readAt >= COMPACT_FROM && this.#readAt * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#readAt)
      this.#readAt = 0
    }
    return item
  }

  #finish(end: { readonly failure?: { readonly cause: unknown } }): void {
    if (this.#end === null) {
      this.#end = end
      const [first, ...rest] = this.#readers
      this.#readers = []
      if (end.failure === undefined) first?.resolve(DONE)
      else if (first !== undefined) {
        this.#end = {}
        first.reject(end.failure.cause)
      }
      for (const reader of rest) reader.resolve(DONE)
    }
    if (!this.#stopped) {
      this.#stopped = true
      this.#source.stop()
    }
  }
}
