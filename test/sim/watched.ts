/** What a watcher may say of a task's life: each sequence of the log once and in order, and each byte of the run that ended it. */
import { Effect } from "effect"
import type { EventLog } from "../../core/ports/eventLog.ts"
import type { Watch } from "./client.ts"

/** All that each run has printed, by task and epoch. */
type Printed = ReadonlyMap<string, Uint8Array>

/** What is wrong with a watch that has ended; nothing, if I7 holds. */
export function faultsOfWatch(watch: Watch, log: EventLog["Service"], printed: Printed): readonly string[] {
  const { events, taskId } = watch
  const faults: string[] = []
  if (!watch.isEnded) faults.push("did not end")
  let lastSeq = 0
  let lastType = ""
  for (const { seq, type } of events) {
    if (seq === null || type === "end") continue
    const mayRepeat = type !== "state" && lastType !== "state"
    if (seq < lastSeq || (seq === lastSeq && !mayRepeat)) faults.push(`saw ${seq} after ${lastSeq}`)
    lastSeq = seq
    lastType = type
  }
  const seen = new Set(events.filter(({ type }) => type !== "end").map(({ seq }) => seq))
  const all = Effect.runSync(log.readTask(taskId, 0, 100_000)).filter(({ seq }) => seq <= lastSeq)
  const missed = all.filter(({ seq }) => !seen.has(seq))
  if (missed.length > 0) faults.push(`never saw ${missed.map(({ seq }) => seq).join()}`)
  faults.push(...faultsOfOutput(watch, printed))
  return faults.map((fault) => `I7: the watcher of ${taskId} ${fault}`)
}

/** The bytes that the last run's readers put together are those that its program printed. */
function faultsOfOutput({ events, taskId }: Watch, printedBy: Printed): readonly string[] {
  const last = events.findLast((event) => event.type === "state")?.task
  if (last?.status !== "completed") return []
  let runEpoch = 0
  for (const event of events) if (event.type === "state" && event.facts.includes("started")) runEpoch = event.task.epoch
  let at = 0
  const parts: Uint8Array[] = []
  for (const event of events) {
    if (event.type !== "output" || event.stream !== "stdout" || event.epoch < runEpoch) continue
    if (event.offset > at) return [`was shown byte ${event.offset} after ${at}`]
    const fresh = event.bytes.subarray(at - event.offset)
    parts.push(fresh)
    at += fresh.length
  }
  const shown = Buffer.concat(parts).toString()
  const printed = Buffer.from(printedBy.get(`${taskId}/${runEpoch}`) ?? []).toString()
  const total = last.result?.stdout.totalBytes
  return shown === printed && total === printed.length
    ? []
    : [`was shown ${JSON.stringify(shown)} of ${JSON.stringify(printed)}, and told of ${total} bytes`]
}
