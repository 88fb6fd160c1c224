import { describe, expect, it } from "vitest"
import { Hot, type HotTask } from "../../../store/sqlite/hot.ts"

const task = (bytes: number): HotTask => ({ last: null, row: null, bytes })
const MEBIBYTE = 1024 * 1024

describe("hot tasks", () => {
  it("H2 the one that was not touched for longest goes first when there are too many bytes", () => {
    const hot = new Hot()
    for (let i = 0; i < 64; i++) hot.set(`t${i}`, task(MEBIBYTE))
    expect(hot.get("t0")).toBeDefined()
    hot.set("one more", task(MEBIBYTE))
    expect(hot.get("t1")).toBeUndefined()
    expect(hot.get("t0")).toBeDefined()
    expect(hot.get("one more")).toBeDefined()
  })

  it("H2 setting a task again counts its bytes once, and deleting gives them back", () => {
    const hot = new Hot()
    for (let i = 0; i < 1_000; i++) hot.set("same", task(MEBIBYTE))
    for (let i = 0; i < 63; i++) hot.set(`t${i}`, task(MEBIBYTE))
    expect(hot.get("same")).toBeDefined()
    hot.delete("same")
    hot.delete("same")
    hot.set("another", task(MEBIBYTE))
    expect(hot.get("t0")).toBeDefined()
  })

  it("H2 the number of tasks is bounded, however small they are", () => {
    const hot = new Hot()
    for (let i = 0; i < 20_000; i++) hot.set(`t${i}`, task(1))
    expect(hot.get(`t${20_000 - 16_384 - 1}`)).toBeUndefined()
    expect(hot.get(`t${20_000 - 16_384}`)).toBeDefined()
    hot.clear()
    expect(hot.get("t19999")).toBeUndefined()
  })
})
