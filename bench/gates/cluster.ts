import { e2e } from "../e2e.ts"
import { failover } from "../failover.ts"
import type { Report } from "../scenario.ts"
import type { Gate } from "./gate.ts"

/** One measurement serves several gates. */
const once = (measure: () => Promise<Report>): ((key: string) => Promise<number>) => {
  let report: Promise<Report> | null = null
  return async (key) => Number((await (report ??= measure()))[key])
}
const endToEnd = once(() => e2e.measure({ nats: true }))
const failovers = once(() => failover.measure({ nats: true }))

/** A broker and nodes of this machine: `npm run bench -- e2e --nats` and `failover` tell more. */
export const clusterGates: readonly Gate[] = [
  {
    name: "cluster: no-op tasks a second, of the raw appends of the same run",
    unit: "of raw",
    bound: { atLeast: 0.12 },
    measure: () => endToEnd("ofRaw"),
    quick: null,
  },
  {
    name: "cluster: until another leads after kill -9, the longest of ten",
    unit: "ms",
    bound: { atMost: 10_000 },
    measure: () => failovers("killedP100Ms"),
    quick: null,
  },
  {
    name: "cluster: until another leads after SIGTERM, the longest of ten",
    unit: "ms",
    bound: { atMost: 1_000 },
    measure: () => failovers("stoppedP100Ms"),
    quick: null,
  },
]
