import { monitorEventLoopDelay } from "node:perf_hooks"
import { Effect } from "effect"
import { Counter, Gauge, Histogram, type Registry } from "prom-client"
import { METRICS, type MetricKey, type Telemetry } from "../../core/telemetry.ts"
import { LANES } from "../../core/words.ts"
import type { Backend, BackendView } from "../../actors/executor/stack/backend.ts"
import type { SystemInfo } from "../../actors/api.ts"
import type { BerthNode } from "../../actors/node.ts"

/** Between two looks at the event loop's lag; the monitor counts it as a part of each delay. */
const LAG_EVERY_MS = 10
const NANOSECONDS = 1_000_000

const MILLISECONDS = [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000]

/** The metrics of core/telemetry.ts in a Prometheus registry. */
export function prometheus(registry: Registry): Telemetry {
  const counters = new Map<MetricKey, Counter>()
  const histograms = new Map<MetricKey, Histogram>()
  for (const [key, metric] of Object.entries(METRICS)) {
    const labelNames = "labels" in metric ? [...metric.labels] : []
    const { help, name } = metric
    if (metric.kind === "counter")
      counters.set(key as MetricKey, new Counter({ name, help, labelNames, registers: [registry] }))
    if (metric.kind === "histogram")
      histograms.set(key as MetricKey, new Histogram({ name, help, buckets: MILLISECONDS, registers: [registry] }))
  }
  return {
    count: (metric, labels = {}, by = 1) => counters.get(metric)?.inc(labels, by),
    observe: (metric, value) => histograms.get(metric)?.observe(value),
  }
}

/** Gauges are asked for when somebody reads the metrics. */
export function nodeGauges(registry: Registry, node: BerthNode, backends: readonly Backend[]): void {
  const gauge = (key: keyof typeof METRICS, read: () => number | Promise<number>): void => {
    const { help, name } = METRICS[key]
    new Gauge({
      name,
      help,
      registers: [registry],
      async collect() {
        this.set(await read())
      },
    })
  }
  const told = (read: (info: SystemInfo) => number) => () => Effect.runPromise(Effect.map(node.info, read))
  gauge(
    "leading",
    told(({ leader }) => (leader ? 1 : 0)),
  )
  gauge(
    "logSeq",
    told(({ headSeq }) => headSeq),
  )
  gauge(
    "readSeq",
    told(({ checkpointSeq }) => checkpointSeq),
  )
  gauge("slotsUsed", node.heldCount)
  gauge("slotDrift", node.slotDrift)
  const { help, name } = METRICS.waiting
  new Gauge({
    name,
    help,
    labelNames: ["lane"],
    registers: [registry],
    collect() {
      for (const lane of LANES) this.set({ lane }, node.waitingIn(lane))
    },
  })
  for (const [key, read] of Object.entries(BACKEND_GAUGES) as [
    keyof typeof BACKEND_GAUGES,
    (view: BackendView) => number,
  ][]) {
    const { help, labels, name } = METRICS[key]
    new Gauge({
      name,
      help,
      labelNames: [...labels],
      registers: [registry],
      collect() {
        for (const backend of backends) this.set({ backend: backend.name }, read(backend.state()))
      },
    })
  }
}

const BACKEND_GAUGES = {
  backendAccepting: (view: BackendView) => (view.accepting ? 1 : 0),
  backendCallsUnderWay: (view: BackendView) => view.slotsInUse,
  backendCallsWaiting: (view: BackendView) => view.slotsWaiting + view.startsWaiting,
  backendRejected: (view: BackendView) => view.rejectedTotal,
} as const

/** Watches how late the event loop is until the returned function is called. */
export function lagGauge(registry: Registry): () => void {
  const lag = monitorEventLoopDelay({ resolution: LAG_EVERY_MS })
  lag.enable()
  const lateMs = (nanoseconds: number): number => Math.max(0, nanoseconds / NANOSECONDS - LAG_EVERY_MS)
  const { help, labels, name } = METRICS.eventLoopLagMs
  new Gauge({
    name,
    help,
    labelNames: [...labels],
    registers: [registry],
    collect() {
      const some = lag.count > 0
      for (const quantile of [0.5, 0.99]) this.set({ quantile }, some ? lateMs(lag.percentile(quantile * 100)) : 0)
      this.set({ quantile: 1 }, some ? lateMs(lag.max) : 0)
      lag.reset()
    },
  })
  return () => void lag.disable()
}
