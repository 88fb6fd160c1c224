import type { Guard } from "../guard.ts"

/** A layer turns one way of making calls into another. It adds no type of error, and hides none. */
export type CallLayer = (inner: Guard) => Guard

/** The innermost way: the call itself. */
export const direct: Guard = (_call, run) => run
