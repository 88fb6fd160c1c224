/** A server inside the program that uses it: many tasks at once, wave after wave. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { Berth, type TaskEvent } from "../../gateway/main/index.ts"

const WAVES = 4
const TASKS = 200
const AT_ONCE = 100

let dataDir: string
let berth: Berth

beforeEach(async () => {
  dataDir = mkdtempSync(join(tmpdir(), "berth-embedded-"))
  const handlers = { double: (input: unknown) => Number(input) * 2 }
  berth = await Berth.open({ dataDir, executor: "none", handlers, slots: 200, config: { ownerSlotsMax: 200 } })
})
afterEach(async () => {
  await berth.close()
  rmSync(dataDir, { recursive: true, force: true })
})

/** One wave, as many at once as said; every task's own events and its value. */
async function wave(): Promise<readonly { readonly value: unknown; readonly events: readonly TaskEvent[] }[]> {
  const seen = Array.from({ length: TASKS }, (_, index) => ({
    index,
    value: null as unknown,
    events: [] as TaskEvent[],
  }))
  const waiting = [...seen]
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { events, index } = next
      const outcome = await berth.run(
        { handler: "double", input: index },
        { onEvent: (event) => void events.push(event) },
      )
      next.value = outcome.value
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  return seen
}

describe("does every run come to its end?", () => {
  it(`I7: ${WAVES} waves of ${TASKS} handlers, ${AT_ONCE} at once: each has its value, its events in order, and the end`, async () => {
    for (let round = 0; round < WAVES; round += 1) {
      const seen = await wave()
      expect(seen.map(({ value }) => value)).toEqual(Array.from({ length: TASKS }, (_, index) => index * 2))
      for (const { events } of seen) {
        const seqs = events.flatMap(({ seq }) => (seq === null ? [] : [seq]))
        expect(seqs).toEqual(seqs.toSorted((a, b) => a - b))
        expect(events.at(-1)).toMatchObject({ type: "end", status: "completed" })
      }
    }
  })
})
