/** Every metric, with its unit in its name. A name here is public: it is never renamed, only added to. */
export const METRICS = {
  submitted: { kind: "counter", name: "berth_tasks_submitted_total", help: "Tasks accepted, repeats not counted." },
  ended: {
    kind: "counter",
    name: "berth_attempts_ended_total",
    help: "Attempts ended, by status and reason.",
    labels: ["status", "reason"],
  },
  lost: { kind: "counter", name: "berth_attempts_lost_total", help: "Attempts lost, by cause.", labels: ["cause"] },
  adopted: {
    kind: "counter",
    name: "berth_attempts_adopted_total",
    help: "Running attempts taken over after a restart.",
  },
  fenced: {
    kind: "counter",
    name: "berth_worker_fenced_total",
    help: "Times that a worker could not renew its lease and paused its programs.",
  },
  fenceUnconfirmed: {
    kind: "counter",
    name: "berth_fence_unconfirmed_total",
    help: "Programs that a fenced worker could not be sure to have paused, because their engine did not answer.",
  },
  leasesLost: {
    kind: "counter",
    name: "berth_worker_leases_lost_total",
    help: "Times that a worker's lease was revoked while it lived.",
  },
  workersLost: {
    kind: "counter",
    name: "berth_workers_lost_total",
    help: "Workers whose lease the leader revoked, because it was not renewed.",
  },
  admitted: { kind: "counter", name: "berth_admissions_total", help: "Admissions by the dispatcher." },
  repairs: {
    kind: "counter",
    name: "berth_reconciler_repairs_total",
    help: "Tasks that had neither wake-up, holder, timer nor place in the index.",
  },
  slotDrift: {
    kind: "gauge",
    name: "berth_slot_drift",
    help: "Difference between the dispatcher's fold and the read model; 0 unless there is a defect.",
  },
  slotsUsed: { kind: "gauge", name: "berth_slots_used", help: "Attempts on this worker." },
  terms: { kind: "counter", name: "berth_leader_terms_total", help: "Terms of leadership that this node began." },
  leading: { kind: "gauge", name: "berth_leader", help: "1 while this node leads." },
  logSeq: { kind: "gauge", name: "berth_log_seq", help: "Sequence of the log's newest entry, as this node knows it." },
  readSeq: { kind: "gauge", name: "berth_read_model_seq", help: "Sequence that this node's read model has reached." },
  waiting: {
    kind: "gauge",
    name: "berth_tasks_waiting",
    help: "Tasks in the dispatcher's index, by lane.",
    labels: ["lane"],
  },
  queueMs: { kind: "histogram", name: "berth_task_queue_ms", help: "From submitted to started, first attempt." },
  runMs: { kind: "histogram", name: "berth_attempt_run_ms", help: "From started to ended, one attempt." },
  backendChanges: {
    kind: "counter",
    name: "berth_backend_changes_total",
    help: "Changes of a backend's circuit breaker, by the state after it.",
    labels: ["backend", "to"],
  },
  backendCalls: {
    kind: "counter",
    name: "berth_backend_calls_total",
    help: "Calls to a backend that its breaker let pass, by call and outcome.",
    labels: ["backend", "call", "outcome"],
  },
  backendAccepting: {
    kind: "gauge",
    name: "berth_backend_accepting",
    help: "1 while a backend's breaker is closed, else 0.",
    labels: ["backend"],
  },
  backendCallsUnderWay: {
    kind: "gauge",
    name: "berth_backend_calls_under_way",
    help: "Calls that are with a backend now.",
    labels: ["backend"],
  },
  backendCallsWaiting: {
    kind: "gauge",
    name: "berth_backend_calls_waiting",
    help: "Calls that wait for their turn at a backend.",
    labels: ["backend"],
  },
  backendRejected: {
    kind: "gauge",
    name: "berth_backend_calls_rejected",
    help: "Calls that a breaker has turned away since the start.",
    labels: ["backend"],
  },
  eventLoopLagMs: {
    kind: "gauge",
    name: "berth_event_loop_lag_ms",
    help: "By how much the process was late for its own timers since these metrics were last read, by quantile.",
    labels: ["quantile"],
  },
  outputBytes: { kind: "counter", name: "berth_output_bytes_total", help: "Bytes that programs printed." },
  actorRestarts: {
    kind: "counter",
    name: "berth_actor_restarts_total",
    help: "Supervised actors started again, by actor.",
    labels: ["actor"],
  },
} as const satisfies Record<
  string,
  { kind: "counter" | "gauge" | "histogram"; name: string; help: string; labels?: readonly string[] }
>
export type MetricKey = keyof typeof METRICS

/** Where measurements go; the composition root gives one that Prometheus reads. */
export interface Telemetry {
  readonly count: (metric: MetricKey, labels?: Readonly<Record<string, string>>, by?: number) => void
  readonly observe: (metric: MetricKey, value: number) => void
}
export const NO_TELEMETRY: Telemetry = { count: () => {}, observe: () => {} }

/** Structured logs: fields are data, the message is ours; nothing that a user sent goes into the message. */
export interface Logger {
  readonly debug: (fields: object, message: string) => void
  readonly info: (fields: object, message: string) => void
  readonly warn: (fields: object, message: string) => void
  readonly error: (fields: object, message: string) => void
}
