import { Context } from "effect"

/** The only source of chance. */
export class Random extends Context.Service<
  Random,
  {
    /** Uniform in [0, 1). */
    readonly next01: () => number
    /** A new id of `[a-z0-9]`, 26 characters; ids sort by the time of making. */
    readonly id: () => string
  }
>()("core/ports/Random") {}
