/** What the fake service shows: a task as it was just accepted, and the one worker. */
import type { TaskView } from "../../actors/api.ts"
import type { WorkerInfo } from "../../core/ports/workers.ts"

export const FAKE_WORKER: WorkerInfo = {
  worker: "w1",
  host: "host",
  engineId: null,
  pool: "default",
  slots: 4,
  held: 1,
  kinds: ["runtime"],
  kindsUnavailable: [],
  handlers: [],
  isolations: ["runc"],
  labels: { zone: "eu" },
  draining: false,
  accepting: true,
  version: "0",
  startedAtMs: 0,
}

interface Accepted {
  readonly id: string
  readonly owner: string
  readonly nowMs: number
}

export const pendingView = ({ id, nowMs, owner }: Accepted, more: Partial<TaskView>): TaskView => ({
  id,
  owner,
  status: "pending",
  phase: "queued",
  waitingFor: null,
  attempt: 1,
  maxAttempts: 1,
  epoch: 0,
  kind: "runtime",
  target: "python",
  lane: "normal",
  pool: "default",
  labels: {},
  timeoutMs: 60_000,
  startAtMs: null,
  startByMs: null,
  wakeAtMs: null,
  worker: null,
  containerId: null,
  stopRequested: null,
  result: null,
  history: [],
  outputPurged: false,
  submittedAtMs: nowMs,
  updatedAtMs: nowMs,
  endedAtMs: null,
  seq: 0,
  ...more,
})
