import { Effect, type Fiber } from "effect"
import { Breaker } from "../../actors/executor/stack/breaker.ts"
import { direct } from "../../actors/executor/stack/layer.ts"
import type { BerthError } from "../../core/errors.ts"
import { BREAKER_LIMITS } from "../../core/policy/breaker.ts"
import { seededRandom } from "../../test/support/clock.ts"
import { callOf, type HowItEnds, pendingCall, unavailable } from "../../test/support/engineCall.ts"
import type { Gate } from "./gate.ts"

const TRIALS = 10_000
const QUICK_TRIALS = 200
const CALLERS = 50
const FATES = ["ok", "unavailable", "refused", "defect", "interrupt", "hang"] as const

interface Trials {
  /** Trials in which not exactly one of the callers became the probe. */
  readonly wrongProbes: number
  /** Trials after which no call could pass any more. */
  readonly wedged: number
}

/** An open breaker whose time is up meets many callers at once; its probe ends in every way there is. */
const trials = (count: number): Trials => {
  const random = seededRandom(7)
  let wrongProbes = 0
  let wedged = 0
  for (let trial = 0; trial < count; trial++) {
    const { begun, isUsable } = oneTrial(FATES[trial % FATES.length] ?? "ok", random.next01)
    if (begun !== 1) wrongProbes++
    if (!isUsable) wedged++
  }
  return { wrongProbes, wedged }
}

const oneTrial = (fate: (typeof FATES)[number], next01: () => number): { begun: number; isUsable: boolean } => {
  let monoMs = 0
  const breaker = new Breaker({
    backend: "engine",
    limits: BREAKER_LIMITS,
    clock: { nowMs: () => monoMs, monoMs: () => monoMs, sleep: () => Effect.never, after: () => () => undefined },
    random: { next01, id: () => "" },
  })
  const guard = breaker.layer(direct)
  const enter = () => {
    const call = pendingCall()
    return { call, fiber: Effect.runFork(guard(callOf(), call.run)) }
  }
  while (breaker.isClosed()) Effect.runSyncExit(guard(callOf(), Effect.fail(unavailable())))
  monoMs += BREAKER_LIMITS.openMsMax
  const callers = Array.from({ length: CALLERS }, enter)
  const probes = callers.filter(({ call }) => call.begun() > 0)
  for (const probe of probes) endAs(fate, probe.call.end, probe.fiber)
  // Whatever became of the probe, after the longest rest there must be a way back to closed.
  monoMs += BREAKER_LIMITS.probeMsMax
  enter()
  monoMs += BREAKER_LIMITS.openMsMax + BREAKER_LIMITS.probeMsMax
  for (let call = 0; call < BREAKER_LIMITS.successesToClose + 2; call++) {
    Effect.runSyncExit(guard(callOf(), Effect.void))
    monoMs += BREAKER_LIMITS.openMsMax
  }
  return { begun: probes.length, isUsable: breaker.isClosed() }
}

const endAs = (
  fate: (typeof FATES)[number],
  end: (how: HowItEnds) => void,
  fiber: Fiber.Fiber<string, BerthError>,
): void => {
  if (fate === "interrupt") fiber.interruptUnsafe()
  else if (fate !== "hang") end(fate)
}

let full: Trials | null = null
const measured = (): Trials => (full ??= trials(TRIALS))

export const halfOpenGates: readonly Gate[] = [
  {
    name: `half-open: trials of ${CALLERS} callers without exactly one probe`,
    unit: "trials",
    bound: { exactly: 0 },
    measure: async () => measured().wrongProbes,
    quick: async () => trials(QUICK_TRIALS).wrongProbes,
  },
  {
    name: "half-open: trials that left the breaker wedged",
    unit: "trials",
    bound: { exactly: 0 },
    measure: async () => measured().wedged,
    quick: async () => trials(QUICK_TRIALS).wedged,
  },
]
