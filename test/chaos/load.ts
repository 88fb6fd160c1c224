/**
 * Submits programs all the time, through gateways that come and go, stays with each until it is at rest, and writes down
 * what was promised and what was seen.
 */
import { setMaxListeners } from "node:events"
import { setTimeout as sleep } from "node:timers/promises"
import type { BerthClient, BerthError } from "../../gateway/client/index.ts"
import type { Order } from "./orders.ts"
import { type Sighting, sightingOf, type Story } from "./story.ts"

/** One accepted submit, and all that its watch has shown. */
export interface Watched {
  readonly id: string
  readonly order: Order
  readonly story: Story
}

export interface LoadOptions {
  /** A connection may say so many words a second, and no more: with few of them the load is no load. */
  readonly clients: readonly BerthClient[]
  readonly orderOf: (number: number) => Order
  /** So many are watched at once. */
  readonly lanes: number
  /** At least so many are submitted. */
  readonly tasks: number
  /** Goes on beyond `tasks` while it is true. */
  readonly goesOn: () => boolean
  /** So many of the lanes may take another one now, at least one. Default: all. */
  readonly lanesNow?: () => number
  /** One more is at rest. Default: nobody wants to know. */
  readonly rested?: () => void
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
  const { clients, goesOn, lanes, lanesNow = () => lanes, rested = () => {}, tasks } = options
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
  const lane = async (place: number): Promise<void> => {
    const client = clients[place % clients.length] as BerthClient
    while (!stuck.signal.aborted && (asked < tasks || goesOn())) {
      if (place >= lanesNow()) {
        await sleep(PAUSE_MS)
        continue
      }
      asked += 1
      const order = options.orderOf(asked)
      const id = await submitted(client, order)
      if (id === null) continue
      const story: Sighting[] = []
      watched.push({ id, order, story })
      try {
        for await (const event of client.watch(id, { signal: stuck.signal })) {
          const sighting = sightingOf(event)
          if (sighting !== null) story.push(sighting)
        }
        restedMonoMs = performance.now()
        rested()
      } catch (error) {
        const { code, message } = error as BerthError
        faults.push(`${order.word} (${id}): its watch said ${code}: ${message}`)
      }
    }
  }
  await Promise.all(Array.from({ length: lanes }, (_, place) => lane(place)))
  clearInterval(watchdog)
  return { watched, calls, acknowledged: watched.length, refusals, faults }
}
