import type { Bulkhead } from "./bulkhead.ts"
import type { CallLayer } from "./layer.ts"

/** So many calls are with the backend at a time: one that hangs keeps its slots, and nothing of anybody else. */
export const callSlots =
  (slots: Bulkhead): CallLayer =>
  (inner) =>
  (call, run) =>
    slots.hold(inner(call, run))
