import pino from "pino"
import type { Logger } from "../../core/telemetry.ts"

export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const

/** JSON lines on stderr. Fields are data and are escaped by JSON; secrets have no field. */
export const jsonLogger = (level: string, version: string): Logger =>
  pino({ level, base: { pid: process.pid, version } }, pino.destination({ dest: 2, sync: true }))

const nothing = (): void => {}
export const SILENT: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing }
