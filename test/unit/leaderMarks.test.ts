/** Do the instruments of the leader's drill see what they are there to see? */
import { expect, it } from "vitest"
import { lateFacts } from "../support/controlFacts.ts"
import { readSpans } from "../support/ownerMarks.ts"

const lines = (...all: readonly string[]): string => all.map((line) => `${line}\n`).join("")

it("counts what runs at once, by owner, and forgets what has ended", () => {
  const { atOnceMax, begun, open, pauseMsMax } = readSpans(
    lines(
      "begin ann a1 10.0",
      "begin bob b1 10.1",
      "begin ann a2 10.2",
      "end ann a1 10.3",
      "begin ann a3 12.2",
      "end ann a2 12.3",
      "end bob b1 12.4",
    ),
  )
  expect(Object.fromEntries(atOnceMax)).toEqual({ ann: 2, bob: 1 })
  expect([begun.size, open]).toEqual([4, ["a3"]])
  expect(pauseMsMax).toBeCloseTo(2_000)
})

it("sees a word that begins twice, and a third at once where two may run", () => {
  const spans = readSpans(lines("begin ann a1 1", "begin ann a1 2", "begin ann a2 3", "begin ann a3 4"))
  expect(spans.begun.get("a1")).toBe(2)
  expect(spans.atOnceMax.get("ann")).toBe(3)
  expect(readSpans("").atOnceMax.size).toBe(0)
})

it("I3 sees a fact of an old term behind the beginning of a newer one, and nothing else", () => {
  const began = (term: number) => ({ type: "termBegan", node: `n${term}`, term, atMs: 0 }) as const
  const admitted = (term: number) => ({ type: "admitted", term, admissions: [], atMs: 0 }) as const
  expect(lateFacts([admitted(4), began(5), admitted(5), began(6), admitted(6)])).toEqual([])
  expect(lateFacts([began(5), began(6), admitted(5), admitted(6), began(5)])).toEqual([admitted(5), began(5)])
  expect(lateFacts([])).toEqual([])
})
