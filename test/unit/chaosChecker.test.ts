/** Does the checker of the chaos drill see what it is there for? */
import { describe, expect, it } from "vitest"
import type { BerthClient, TaskEvent } from "../../gateway/client/index.ts"
import { check } from "../chaos/checker.ts"

const state = (seq: number, facts: readonly string[], more: object = {}): TaskEvent =>
  ({ type: "state", seq, taskId: "t", facts, task: { status: "running", attempt: 1, epoch: 1, ...more } }) as TaskEvent
const end = (seq: number): TaskEvent => ({ type: "end", seq, taskId: "t", status: "completed" }) as TaskEvent
const submitted = state(1, ["submitted"], { status: "pending" })
const started = state(2, ["started"])
const ended = state(5, ["ended"], { status: "completed" })
const good = [submitted, started, ended, end(5)]

const violations = async (log: readonly TaskEvent[], seen = log, marks = 1): Promise<readonly string[]> => {
  const client = {
    watch: async function* () {
      yield* log
    },
  } as unknown as BerthClient
  const verdict = await check(client, [{ id: "t", word: "w", events: seen }], new Map([["w", marks]]))
  return verdict.violations
}

describe("the checker of the chaos drill", () => {
  it("finds nothing where nothing is wrong", async () => {
    expect(await violations(good)).toEqual([])
    const lost = state(3, ["lost"], { status: "pending" })
    const again = state(4, ["started"], { epoch: 2 })
    expect(await violations([submitted, started, lost, again, ended, end(5)], undefined, 2)).toEqual([])
  })

  it.each<[string, string, readonly TaskEvent[], readonly TaskEvent[] | undefined, number]>([
    ["CH1", "is running", [submitted, started], undefined, 1],
    ["CH1", "is failed", [submitted, started, state(5, ["ended"], { status: "failed" })], undefined, 1],
    ["CH2", "2 ends and 1 attempts", [submitted, started, state(3, ["ended"]), ended], undefined, 1],
    ["CH2", "two starts of one epoch", [submitted, started, state(3, ["started"]), ended], undefined, 2],
    ["CH3", "was never started", good, undefined, 0],
    ["CH3", "was started 2 times", good, undefined, 2],
    ["CH4", "was at 5 and saw 2", good, [submitted, ended, started, ended], 1],
    ["CH4", "saw something else", good, [submitted, ended], 1],
  ])("%s says: %s", async (_, words, log, seen, marks) => {
    expect((await violations(log, seen, marks)).join("\n")).toContain(words)
  })
})
