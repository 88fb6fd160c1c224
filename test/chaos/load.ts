/**
 * Submits programs all the time, through gateways that come and go, stays with each until it is at rest, and writes down
 * what was promised and what was seen.
 */
import { setMaxListeners } from "node:events"
import { setTimeout as sleep } from "node:timers/promises"
import type { BerthClient, BerthError, TaskEvent } from "../../gateway/client/index.ts"
import type { Order } from "./orders.ts"

/** One accepted submit, and all that its watch has shown. */
export interface Watched {
  readonly id: string
  readonly order: Order
  readonly events: readonly TaskEvent[]
}

export interface LoadOptions {
  readonly clients: readonly BerthClient[]
  readonly orderOf: (number: number) => Order
  /** So many are watched at once. */
  readonly lanes: number
  /** At least so many are submitted. */
  readonly tasks: number
  /** Goes on beyond `tasks` while it is true. */
  readonly goesOn: () => boolean
}

export interface LoadReport {
  readonly watched: readonly Watched[]
  /** Calls of submit, and how many of them were acknowledged. */
  readonly calls: number
  readonly acknowledged: number
  readonly refusals: Readonly<Record<string, number>>
  /** Failures that nobody may see: errors that are not retryable. */
  readonly faults: readonly string[]
}

const PAUSE_MS = 200
/** Nothing came to rest for so long: whatever is still watched is stuck, and is told as such. */
const STUCK_MS = 180_000
const LOOK_MS = 1_000

export async function load(options: LoadOptions): Promise<LoadReport> {
  const { clients, goesOn, lanes, tasks } = options
  const watched: Watched[] = []
  const refusals: Record<string, number> = {}
  const faults: string[] = []
  let asked = 0
  let calls = 0
  let restedMonoMs = performance.now()
  const stuck = new AbortController()
  setMaxListeners(0, stuck.signal)
  const watchdog = setInterval(() => {
    if (performance.now() - restedMonoMs > STUCK_MS) stuck.abort(new Error(`nothing came to rest for ${STUCK_MS} ms`))
  }, LOOK_MS)

  /** Submits until it is acknowledged: with its key a repeat is no second task. */
  const submitted = async (client: BerthClient, { request, word }: Order): Promise<string | null> => {
    for (;;) {
      calls += 1
      try {
        return (await client.submit(request)).id
      } catch (error) {
        const { code, message, retryable } = error as BerthError
        refusals[code] = (refusals[code] ?? 0) + 1
        if (!retryable) {
          faults.push(`${word}: submit said ${code}: ${message}`)
          return null
        }
        await sleep(PAUSE_MS)
      }
    }
  }
  const lane = async (client: BerthClient): Promise<void> => {
    while (!stuck.signal.aborted && (asked < tasks || goesOn())) {
      asked += 1
      const order = options.orderOf(asked)
      const id = await submitted(client, order)
      if (id === null) continue
      const events: TaskEvent[] = []
      watched.push({ id, order, events })
      try {
        for await (const event of client.watch(id, { signal: stuck.signal })) events.push(event)
        restedMonoMs = performance.now()
      } catch (error) {
        const { code, message } = error as BerthError
        faults.push(`${order.word} (${id}): its watch said ${code}: ${message}`)
      }
    }
  }
  await Promise.all(Array.from({ length: lanes }, (_, n) => lane(clients[n % clients.length] as BerthClient)))
  clearInterval(watchdog)
  return { watched, calls, acknowledged: watched.length, refusals, faults }
}
