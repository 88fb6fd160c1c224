import type { EventLog } from "../../core/ports/eventLog.ts"
import { RECORD_LEVEL_FIRST } from "../../core/recordLevel.ts"

/** The level that one log writes at, as its part of the port (EL14). */
export function writeLevel(): Pick<EventLog["Service"], "level" | "raise"> {
  let level = RECORD_LEVEL_FIRST
  return {
    level: () => level,
    raise: (to) => {
      level = Math.max(level, to)
    },
  }
}
