/** What a watch tells of the log's entries. */
import type { LogEntry, OutputItem, OutputRecord, Seq } from "../core/record.ts"
import { isAtRest, type Status } from "../core/words.ts"
import type { WatchEvent } from "./api.ts"
import { NOTHING_KNOWN, viewOf } from "./view.ts"

/** @param seq - null: sent live and not kept */
export const itemEvent = (
  taskId: string,
  seq: Seq | null,
  { attempt, epoch }: OutputRecord,
  item: OutputItem,
): WatchEvent => {
  const where = { taskId, attempt, epoch }
  switch (item.type) {
    case "chunk":
      return { type: "output", seq, ...where, stream: item.stream, offset: item.offset, bytes: item.bytes }
    case "gap":
      return { type: "gap", seq: seq ?? 0, ...where, stream: item.stream, offset: item.offset, bytes: item.bytes }
    case "progress":
      return { type: "progress", seq: seq ?? 0, ...where, data: item.data, atMs: item.atMs }
  }
}

/** The events of one entry; an output record may hold several, and they share its sequence. */
export function eventsOf({ record, seq, subject }: LogEntry): readonly WatchEvent[] {
  const taskId = subject.split(".")[1] ?? ""
  if (record.kind === "output") return record.items.map((item) => itemEvent(taskId, seq, record, item))
  if (record.kind !== "task") return []
  const task = viewOf({ state: record.state, seq, outputPurged: false }, NOTHING_KNOWN)
  return [{ type: "state", seq, taskId, facts: record.facts.map(({ type }) => type), task }]
}

/** The status in which an entry leaves its task at rest; null: it goes on. */
export const restOf = ({ record }: LogEntry): Status | null => {
  if (record.kind === "task") return isAtRest(record.state.status) ? record.state.status : null
  return record.kind === "tombstone" ? (record.status as Status) : null
}
