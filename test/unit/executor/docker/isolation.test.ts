import { describe, expect, it } from "vitest"
import { isolationsOf, runtimeOf } from "../../../../actors/executor/docker/isolation.ts"

describe("which runtime of an engine is which isolation class? (IS1, IS2)", () => {
  const engine = (defaultRuntime: string, ...runtimes: string[]) => ({ defaultRuntime, runtimes })

  it.each([
    [engine("runc", "io.containerd.runc.v2", "runc"), ["runc", null, null]],
    [engine("runc", "runc", "runsc", "kata-runtime"), ["runc", "runsc", "kata-runtime"]],
    [engine("runc", "runc", "io.containerd.runsc.v1", "kata"), ["runc", "io.containerd.runsc.v1", "kata"]],
    [engine("crun", "crun"), ["crun", null, null]],
    [engine("youki", "youki"), ["youki", null, null]],
    [engine("runsc", "runsc"), [null, "runsc", null]],
    [engine("gone", "runsc"), [null, "runsc", null]],
    [engine("kata", "kata", "runc"), ["runc", null, "kata"]],
  ])("%j", (has, expected) => {
    expect([runtimeOf("runc", has), runtimeOf("runsc", has), runtimeOf("kata", has)]).toEqual(expected)
    expect(isolationsOf(has)).toEqual(["runc", "runsc", "kata"].filter((_, index) => expected[index] !== null))
  })
})
