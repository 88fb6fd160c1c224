/** Random lives of one task, driven by what is allowed: do machine and reducer agree, and does nothing impossible happen? */
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { isStartable, nextEpoch } from "../../core/task/state.ts"
import { isAtRest } from "../../core/words.ts"
import { machineValue } from "../../core/task/machine.ts"
import {
  type Choice,
  choices,
  expectLegalChanges,
  expectReducerInvariants,
  specs,
  type Step,
  transitionValue,
  walk,
} from "./taskModel.ts"

const RUNS = { numRuns: 400 }
const forEveryStep = (check: (step: Step, index: number, steps: readonly Step[]) => void): void => {
  fc.assert(
    fc.property(specs, choices, (spec, path) => {
      walk(spec, path).forEach(check)
    }),
    RUNS,
  )
}
const names = (step: Step): readonly string[] =>
  step.decision.type === "accepted" ? step.decision.facts.map(({ type }) => type) : []

describe("does the machine reach what the reducer makes of its facts?", () => {
  it("T6: after every message the two agree, and a refused one leaves both where they were", () => {
    forEveryStep(({ before, message, decision, after }) => {
      expect(transitionValue(before, message)).toEqual(machineValue(after))
      if (decision.type !== "accepted") expect(after).toBe(before)
    })
  })

  it("T1: the same message to the same state is decided alike", () => {
    fc.assert(
      fc.property(specs, choices, (spec, path) => {
        expect(walk(spec, path)).toEqual(walk(spec, path))
      }),
      { numRuns: 200 },
    )
  })
})

describe("can anything impossible happen?", () => {
  it("R1 R2 R3: epochs and attempts only grow, a holder is there exactly while running, what is over is over", () => {
    forEveryStep(({ before, after }) => expectReducerInvariants(before, after))
  })

  it("no fact makes a change that DESIGN does not list, and no record leaves a task in between", () => {
    forEveryStep(({ before, decision }) => {
      if (decision.type === "accepted") expectLegalChanges(before, decision.facts)
    })
  })

  it("T2: rest is rest: completed and cancelled take nothing, failed and timeout a manual retry only", () => {
    forEveryStep(({ before, message, decision }) => {
      if (!isAtRest(before.status)) return
      const mayRetry = before.status === "failed" || before.status === "timeout"
      expect(decision.type === "accepted").toBe(mayRetry && message.type === "retry")
    })
  })

  it("T3: only the next epoch starts, and only the current one writes", () => {
    forEveryStep(({ before, message, decision, after }) => {
      if (decision.type !== "accepted") return
      if (message.type === "start") {
        expect(isStartable(before, message.epoch, message.nowMs)).toBe(true)
        expect(after.epoch).toBe(before.epoch + 1)
      } else if (message.type === "adopt") {
        expect(message.epoch).toBe(before.epoch)
        expect(after.epoch).toBe(before.epoch + 1)
      } else {
        expect(after.epoch).toBe(before.epoch)
        if ("epoch" in message) expect(message.epoch).toBe(before.holder?.epoch)
      }
    })
  })

  it("T4: an attempt ends once: no two accepted ends of one epoch", () => {
    fc.assert(
      fc.property(specs, choices, (spec, path) => {
        const ends = walk(spec, path)
          .filter(({ before }) => before.status === "running")
          .flatMap(({ before, decision }) =>
            decision.type === "accepted" ? decision.facts.map((f) => ({ f, before })) : [],
          )
          .filter(({ f }) => f.type === "ended" || f.type === "lost")
          .map(({ before }) => before.epoch)
        expect(new Set(ends).size).toBe(ends.length)
      }),
      RUNS,
    )
  })

  it("a retry by the policy is one record with both changes; a task at rest in failed or timeout is final", () => {
    forEveryStep((step) => {
      const { before, after, message } = step
      const facts = names(step)
      if (facts.includes("retried") && message.type !== "retry") {
        expect(facts).toEqual(["ended", "retried"])
        expect(after).toMatchObject({ status: "pending", phase: "retrying", attempt: before.attempt + 1 })
        expect(before.stop).toBeNull()
      } else if (facts.includes("ended") && (after.status === "failed" || after.status === "timeout")) {
        const isFinal =
          after.attempt >= after.maxAttempts ||
          ["refused", "expired", "quarantined", "cancelled", "killed"].includes(after.result?.reason ?? "")
        expect(isFinal).toBe(true)
      }
    })
  })

  it("only the policy and a manual retry raise the attempt, and a lost worker does not", () => {
    forEveryStep((step) => {
      const raised = step.after.attempt - step.before.attempt
      expect(raised).toBe(names(step).includes("retried") ? 1 : 0)
      if (names(step).includes("retried") && step.message.type !== "retry")
        expect(step.after.maxAttempts).toBe(step.before.maxAttempts)
    })
  })

  it("after a wish to stop an attempt ends cancelled, or completed where the program was quicker", () => {
    forEveryStep(({ before, after, decision }) => {
      if (before.stop === null || decision.type !== "accepted" || after.status === "running") return
      if (before.status === "running") expect(["cancelled", "completed"]).toContain(after.status)
    })
  })

  it("deaths of workers are counted, and the third quarantines", () => {
    forEveryStep((step) => {
      const { before, after, message } = step
      expect(after.workerDeaths).toBeLessThan(3)
      if (message.type !== "lose" || !names(step).includes("ended")) return
      if (after.result?.reason === "quarantined") expect(before.workerDeaths).toBe(2)
    })
  })

  it("deaths are forgotten when a person asks for one more attempt, and by nothing else", () => {
    let forgotten = 0
    forEveryStep(({ before, after, message }) => {
      if (after.workerDeaths >= before.workerDeaths) return
      expect([message.type, after.workerDeaths]).toEqual(["retry", 0])
      forgotten += 1
    })
    expect(forgotten).toBeGreaterThan(0)
  })
})

describe("is every place of the machine visited?", () => {
  const visited = fc
    .sample(fc.tuple(specs, choices), { numRuns: 400, seed: 7 })
    .flatMap(([spec, path]) => walk(spec, path))

  it("every state and every status with its phases", () => {
    const places = new Set<string>()
    for (const { before, after } of visited)
      for (const { status, phase } of [before, after]) places.add(`${status}/${phase}`)
    expect([...places].sort()).toEqual([
      "cancelled/ended",
      "completed/ended",
      "failed/ended",
      "pending/delayed",
      "pending/queued",
      "pending/retrying",
      "running/collecting",
      "running/fenced",
      "running/running",
      "running/starting",
      "running/stopping",
      "timeout/ended",
    ])
  })

  it("every message is accepted somewhere and refused somewhere, and every fact is recorded", () => {
    const accepted = new Set<string>()
    const refused = new Set<string>()
    const facts = new Set<string>()
    for (const step of visited) {
      if (step.decision.type === "accepted") accepted.add(step.message.type)
      if (step.decision.type === "refused") refused.add(step.message.type)
      for (const name of names(step)) facts.add(name)
    }
    expect(accepted.size).toBe(11)
    expect(refused.size).toBe(11)
    expect([...facts].sort()).toEqual(
      [
        "adopted",
        "ended",
        "lost",
        "phased",
        "placed",
        "retried",
        "started",
        "stopRequested",
        "updated",
        "woken",
      ].sort(),
    )
  })

  it("every refusal is typed, terminal and names the task", () => {
    for (const { decision, before } of visited) {
      if (decision.type !== "refused") continue
      expect(decision.error).toMatchObject({ code: "WRONG_STATE", retryable: false })
      expect(decision.error.message).toContain(before.id)
    }
  })

  it("a start after startByMs is refused, at it not", () => {
    const [spec] = fc.sample(specs, { numRuns: 1, seed: 1 })
    const byMs = 1_750_000_000_050
    const start: Choice = { pick: 0, junk: false, detail: 0, jitter01: 0 }
    const first = walk({ ...(spec as NonNullable<typeof spec>), startAtMs: null, startByMs: byMs }, [start])
    const state = first[0]?.before
    if (state === undefined) throw new Error("no state")
    expect(isStartable(state, nextEpoch(state), byMs)).toBe(true)
    expect(isStartable(state, nextEpoch(state), byMs + 1)).toBe(false)
  })
})
