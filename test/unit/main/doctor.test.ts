import { describe, expect, it } from "vitest"
import { factsOf } from "../../../actors/executor/docker/facts.ts"
import { engineLines, isSafe } from "../../../gateway/main/doctorFloors.ts"

describe("is an engine safe enough for work from others?", () => {
  it.each([
    ["29.5.1", ["29.5.1"], true],
    ["29.5.0", ["29.5.1"], false],
    ["20.10.24+dfsg1", ["29.5.1"], false],
    ["30.0.0-rc.1", ["29.5.1"], true],
    ["1.2.8", ["1.2.8", "1.3.3"], true],
    ["1.2.9", ["1.2.8", "1.3.3"], true],
    ["1.3.2", ["1.2.8", "1.3.3"], false],
    ["1.4.0", ["1.2.8", "1.3.3"], true],
    ["1.1.99", ["1.2.8", "1.3.3"], false],
    ["v2.1.0", ["1.7.32", "2.0.9"], true],
    ["unknown", ["1.7.32"], false],
  ])("%s against %j: %s", (version, floors, expected) => {
    expect(isSafe(version, floors)).toBe(expected)
  })

  const info = {
    ID: "e",
    ServerVersion: "29.5.2",
    KernelVersion: "6.1",
    Architecture: "x86_64",
    OperatingSystem: "Debian",
    CgroupVersion: "2",
    Runtimes: { runc: {}, runsc: {} },
    DefaultRuntime: "runc",
    SecurityOptions: ["name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns"],
    LiveRestoreEnabled: true,
    SwapLimit: true,
    Driver: "overlay2",
    NCPU: 2,
    MemTotal: 1,
  }
  const parts = [
    { Name: "runc", Version: "1.3.4" },
    { Name: "containerd", Version: "v2.2.0" },
  ]
  const below = (change: object, components: typeof parts | undefined = parts) => {
    const version = { ApiVersion: "1.52", ...(components === undefined ? {} : { Components: components }) }
    const lines = engineLines(factsOf({ ...info, ...change }, version))
    return lines.filter(({ verdict }) => verdict !== "ok").map(({ name }) => name)
  }

  it("a new engine with everything on passes, and each thing that is missing is a line", () => {
    expect(below({})).toEqual([])
    expect(below({ ServerVersion: "28.0.0" })).toEqual(["docker"])
    expect(below({ CgroupVersion: "1" })).toEqual(["cgroup"])
    expect(below({ SecurityOptions: ["name=seccomp"] })).toEqual(["lsm"])
    expect(below({ SecurityOptions: ["name=apparmor"] })).toEqual(["seccomp"])
    expect(below({ LiveRestoreEnabled: false })).toEqual(["live-restore"])
    expect(below({}, [])).toEqual(["runc", "containerd"])
  })
})
