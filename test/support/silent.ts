import type { Logger } from "../../core/telemetry.ts"

const nothing = (): void => undefined

/** A logger for tests that look at something else. */
export const SILENT: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing }
