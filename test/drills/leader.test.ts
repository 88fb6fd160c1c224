/**
 * Limits while leaders change. `BERTH_ROUNDS=10 npm run drills -- leader` is the long form: 10 kills, 5 stops, 5 cuts, and the
 * leader's lease as it is by default.
 */
import { expect, it } from "vitest"
import { OWNER_SLOTS, troubleLeaders } from "../support/leaderTrouble.ts"
import { describeWithNats } from "../support/require.ts"
import { chosenSeed, seeded } from "../support/seeded.ts"

const ROUNDS = Number(process.env["BERTH_ROUNDS"] ?? 2)
const IS_LONG = ROUNDS > 2
const LEASE_MS = IS_LONG ? 4_000 : 1_000

describeWithNats("a leader that is killed, stands still, or is cut off from the broker", "newest", (server) => {
  it("I3 I6 is no owner's limit exceeded by the programs' own marks, and does nothing stand in the log that an old leader decided?", async () => {
    const random = seeded(chosenSeed())
    const note = (text: string): void => void process.stdout.write(`leader drill, seed ${random.seed}: ${text}\n`)
    const half = Math.ceil(ROUNDS / 2)
    const plan = { random, kills: ROUNDS, stops: half, cuts: half, leaderLeaseMs: LEASE_MS, note }
    const { completed, failures, late, nextLedMs, slotsHeld, spans, terms } = await troubleLeaders(server, plan)
    const atOnce = Object.fromEntries(spans.atOnceMax)
    note(
      `${completed} completed over ${terms} terms; at once ${JSON.stringify(atOnce)} of ${OWNER_SLOTS} each; longest time in which nothing began ${Math.round(spans.pauseMsMax)} ms`,
    )
    expect(failures).toEqual([])
    // Each owner was at its limit, and never beyond.
    expect(atOnce).toEqual({ ann: OWNER_SLOTS, bob: OWNER_SLOTS, cid: OWNER_SLOTS })
    expect([...spans.begun].filter(([, count]) => count !== 1)).toEqual([])
    expect([spans.begun.size, spans.open, slotsHeld]).toEqual([completed, [], 0])
    expect(late).toEqual([])
    expect([nextLedMs.kill.length, nextLedMs.stop.length, nextLedMs.cut.length]).toEqual([ROUNDS, half, half])
    expect(terms).toBeGreaterThanOrEqual(ROUNDS + 2 * half)
  })
})
