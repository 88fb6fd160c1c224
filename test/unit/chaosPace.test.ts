/** Do the load and the kills of the chaos drill keep in step? */
import { afterEach, describe, expect, it } from "vitest"
import { Pace } from "../chaos/pace.ts"

describe("the pace of the chaos drill", () => {
  const paces: Pace[] = []
  const paced = (kills: number): Pace => {
    const pace = new Pace({ tasks: 100, kills, lanes: 32, note: () => {} })
    paces.push(pace)
    return pace
  }
  const times = (count: number, what: () => void): void => {
    for (let n = 0; n < count; n++) what()
  }
  afterEach(() => {
    for (const pace of paces.splice(0)) pace.stop()
  })

  it("PA1 leaves a load that is ahead of the kills a part of its lanes, until the kills are done", () => {
    const pace = paced(2)
    expect(pace.lanes()).toBe(32)
    times(50, pace.rested)
    expect(pace.lanes()).toBe(32)
    pace.rested()
    expect(pace.lanes()).toBe(2)
    pace.killed()
    expect(pace.lanes()).toBe(32)
    times(100, pace.rested)
    expect(pace.lanes()).toBe(2)
    expect(pace.isKilling()).toBe(true)
    pace.killed()
    expect(pace.isKilling()).toBe(false)
    expect(pace.lanes()).toBe(32)
  })

  it("PA2 lets kills that are ahead wait for the load, but not for one that is over", () => {
    const pace = paced(10)
    expect(pace.mayKill()).toBe(true)
    pace.killed()
    expect(pace.mayKill()).toBe(true)
    pace.killed()
    expect(pace.mayKill()).toBe(false)
    times(10, pace.rested)
    expect(pace.mayKill()).toBe(true)
    pace.killed()
    expect(pace.mayKill()).toBe(false)
    pace.loadIsOver()
    expect(pace.mayKill()).toBe(true)
  })
})
