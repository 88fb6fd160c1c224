/** Metrics of the door. Names are public: never renamed, only added to. */
import { Counter, Gauge, Histogram, type Registry } from "prom-client"
import type { ErrorCode } from "../../core/errors.ts"
import { isMethodName } from "../protocol/methods.ts"

export interface DoorMetrics {
  /** A connection was opened (1) or closed (-1). */
  readonly connections: (by: number) => void
  readonly subscriptions: (by: number) => void
  /** A handshake ended with this HTTP status. */
  readonly upgraded: (status: number) => void
  readonly closed: (code: number) => void
  /** A message was refused before it was a call. */
  readonly refused: (code: ErrorCode) => void
  readonly answered: (method: string, error: ErrorCode | null, elapsedMs: number) => void
  readonly http: (route: string, status: number) => void
}

const MILLISECONDS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 5_000, 30_000]

/** Registers the door's metrics. Once for a registry. */
export function registerMetrics(registry: Registry): DoorMetrics {
  const registers = [registry]
  const connections = new Gauge({ name: "berth_door_connections", help: "Open sockets.", registers })
  const subscriptions = new Gauge({ name: "berth_door_subscriptions", help: "Open watches.", registers })
  const upgrades = new Counter({
    name: "berth_door_upgrades_total",
    help: "Handshakes, by HTTP status.",
    labelNames: ["status"],
    registers,
  })
  const closes = new Counter({
    name: "berth_door_closes_total",
    help: "Closed sockets, by close code.",
    labelNames: ["code"],
    registers,
  })
  const refused = new Counter({
    name: "berth_door_refused_total",
    help: "Messages refused before they were calls, by error.",
    labelNames: ["error"],
    registers,
  })
  const calls = new Histogram({
    name: "berth_door_call_ms",
    help: "From a request to its answer.",
    labelNames: ["method", "error"],
    buckets: MILLISECONDS,
    registers,
  })
  const http = new Counter({
    name: "berth_door_http_total",
    help: "HTTP requests, by route and status.",
    labelNames: ["route", "status"],
    registers,
  })
  return {
    connections: (by) => connections.inc(by),
    subscriptions: (by) => subscriptions.inc(by),
    upgraded: (status) => upgrades.inc({ status }),
    closed: (code) => closes.inc({ code }),
    refused: (error) => refused.inc({ error }),
    // A name that somebody made up would be a series of its own.
    answered: (method, error, elapsedMs) =>
      calls.observe({ method: isMethodName(method) ? method : "unknown", error: error ?? "none" }, elapsedMs),
    http: (route, status) => http.inc({ route, status }),
  }
}

const nothing = (): void => undefined

/** For sessions without a registry. */
export const NO_METRICS: DoorMetrics = {
  connections: nothing,
  subscriptions: nothing,
  upgraded: nothing,
  closed: nothing,
  refused: nothing,
  answered: nothing,
  http: nothing,
}
