/**
 * A client that calls all the time, one call after another of each kind, and writes down how long each kept it waiting.
 *
 *   CP1. A call's wait is from the later of its first try and the moment that the client was connected again, to its answer: what
 *        the client itself needs to be connected again is not the cluster's, and is told apart.
 *   CP2. A retryable refusal is tried again under the same key, and the time goes on.
 */
import { setTimeout as sleep } from "node:timers/promises"
import type { BerthClient, BerthError, SubmitRequest } from "../../gateway/client/index.ts"

const AGAIN_MS = 50
const READS_EVERY_MS = 50
const SUBMITS_EVERY_MS = 150

export type CallKind = "submit" | "get" | "list"

export interface Waited {
  readonly kind: CallKind
  readonly beganMonoMs: number
  readonly waitMs: number
}

export interface ProbeOptions {
  readonly connect: (onConnection: (isUp: boolean) => void) => Promise<BerthClient>
  /** Null: a client that only reads what is there when it begins. */
  readonly request: ((n: number) => SubmitRequest) | null
  /** Of a task that is there, for clients that only read. */
  readonly known: string
}

export class CallProbe {
  readonly waited: Waited[] = []
  readonly submitted: string[] = []
  readonly refusals = new Map<string, number>()
  /** Longest time without a connection. */
  downMsMax = 0
  readonly #options: ProbeOptions
  #upMonoMs = 0
  #isOver = false
  #loops: readonly Promise<void>[] = []
  #client: BerthClient | null = null

  private constructor(options: ProbeOptions) {
    this.#options = options
  }

  static async start(options: ProbeOptions): Promise<CallProbe> {
    const probe = new CallProbe(options)
    let downMonoMs = performance.now()
    const client = await options.connect((isUp) => {
      const nowMonoMs = performance.now()
      if (isUp) {
        probe.#upMonoMs = nowMonoMs
        probe.downMsMax = Math.max(probe.downMsMax, nowMonoMs - downMonoMs)
      } else downMonoMs = nowMonoMs
    })
    probe.#client = client
    probe.#loops = probe.#begin(client)
    return probe
  }

  get client(): BerthClient {
    return this.#client as BerthClient
  }

  /** The longest wait of a kind of call that ended after a moment; 0 when there was none. */
  waitMsMax(kind: CallKind, sinceMonoMs = 0): number {
    const those = this.waited.filter((one) => one.kind === kind && one.beganMonoMs + one.waitMs >= sinceMonoMs)
    return Math.max(0, ...those.map(({ waitMs }) => waitMs))
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await Promise.all(this.#loops)
  }

  #begin(client: BerthClient): readonly Promise<void>[] {
    const { known, request } = this.#options
    const newest = (): string => this.submitted.at(-1) ?? known
    const reading = [
      this.#loop("get", READS_EVERY_MS, () => client.get(newest())),
      this.#loop("list", 4 * READS_EVERY_MS, async () => {
        for await (const _ of client.list({ rowsMax: 5 })) return
      }),
    ]
    if (request === null) return reading
    const submit = async (n: number): Promise<void> => {
      const { id } = await client.submit(request(n))
      if (this.submitted.at(-1) !== id) this.submitted.push(id)
    }
    return [...reading, this.#loop("submit", SUBMITS_EVERY_MS, submit)]
  }

  async #loop(kind: CallKind, everyMs: number, call: (n: number) => Promise<unknown>): Promise<void> {
    for (let n = 0; !this.#isOver; n += 1) {
      const beganMonoMs = performance.now()
      await this.#persist(() => call(n))
      const waitMs = performance.now() - Math.max(beganMonoMs, this.#upMonoMs)
      this.waited.push({ kind, beganMonoMs, waitMs })
      await sleep(everyMs)
    }
  }

  async #persist(call: () => Promise<unknown>): Promise<void> {
    for (;;) {
      try {
        await call()
        return
      } catch (error) {
        const { code, retryable } = error as BerthError
        if (!retryable) throw error
        this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1)
        await sleep(AGAIN_MS)
      }
    }
  }
}
