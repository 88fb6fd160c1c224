import type { Bulkhead } from "./bulkhead.ts"
import type { CallLayer } from "./layer.ts"

/** Few containers start at a time: starting is bound by the CPU, and many at once are slower than a few. */
export const startWidth =
  (width: Bulkhead): CallLayer =>
  (inner) =>
  (call, run) =>
    call.start ? width.hold(inner(call, run)) : inner(call, run)
