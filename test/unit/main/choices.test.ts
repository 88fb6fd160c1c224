import { describe, expect, it } from "vitest"
import { workerNamed } from "../../../gateway/main/choices.ts"

describe("the name of a worker", () => {
  it.each(["w1", "A_b-9", "x".repeat(32)])("%s is plain", (name) => expect(workerNamed(name)).toBe(name))

  it.each(["", "a.b", "a*", ">", "a b", "x".repeat(33), "ж"])(
    "%j is refused: it becomes part of the broker's subjects",
    (name) => {
      expect(() => workerNamed(name)).toThrow(expect.objectContaining({ code: "CONFIG_INVALID", path: "worker" }))
    },
  )
})
