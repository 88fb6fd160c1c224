import { describe, expect, it } from "vitest"
import { exitOf } from "../../../../actors/executor/process/exit.ts"
import {
  type KeeperReport,
  parseIdentity,
  parseProcessState,
  parseReport,
} from "../../../../actors/executor/process/keeper.ts"

const report = (more: Partial<KeeperReport> = {}): KeeperReport => ({
  stage: "run",
  signalled: false,
  status: 0,
  cpuMs: 5,
  ...more,
})

describe("what a keeper wrote", () => {
  it("is read back, and half of it is nothing", () => {
    expect(parseReport("run exit 3\n", "0m0.00s 0m0.00s\n0m1.25s 1m0.50s\n")).toEqual({
      stage: "run",
      signalled: false,
      status: 3,
      cpuMs: 61_750,
    })
    for (const half of ["", "run", "run exit 3", "run exit \n", "walk exit 3\n", "run exit 3\nmore\n"]) {
      expect(parseReport(half, "")).toBeNull()
    }
    expect(parseReport("compile signal 137\n", "")).toMatchObject({ stage: "compile", signalled: true, cpuMs: null })
  })

  it("names a process by number and start, whatever its command is called", () => {
    const rest = ` S 1 42 42 0 -1 4194560 100 0 0 0 0 0 0 0 20 0 1 0 987654 2580480 200\n`
    expect(parseIdentity(`42 (sh)${rest}`)).toEqual({ pid: 42, startTicks: 987_654 })
    expect(parseIdentity(`42 (a) R (b c)${rest}`)).toEqual({ pid: 42, startTicks: 987_654 })
    expect(parseProcessState(`42 (a) R (b c)${rest}`)).toBe("S")
    expect(parseIdentity("42\n")).toEqual({ pid: 42, startTicks: null })
    for (const bad of ["", "42", "x\n", "1\n", "0\n", "-5\n"]) expect(parseIdentity(bad)).toBeNull()
  })
})

describe("what an end becomes", () => {
  it.each([
    [report(), null, false, "completed", "exit_zero", 0, null],
    [report({ status: 137 }), null, false, "failed", "exit_nonzero", 137, null],
    [report({ status: 137, signalled: true }), null, false, "failed", "signal", null, "SIGKILL"],
    [report({ status: 139, signalled: true }), null, false, "failed", "signal", null, "SIGSEGV"],
    [report({ stage: "compile", status: 1 }), null, false, "failed", "compile_failed", 1, null],
    [report({ status: 0 }), "cancel", false, "cancelled", "cancelled", 0, null],
    [report({ status: 143, signalled: true }), "deadline", false, "timeout", "deadline", null, "SIGTERM"],
    [report({ status: 0 }), null, true, "timeout", "deadline", 0, null],
    [null, "kill", false, "cancelled", "killed", null, "SIGKILL"],
    [null, null, false, "failed", "signal", null, "SIGKILL"],
  ] as const)("%o, stopped by %s, overdue %s: %s, %s", (what, stop, overdue, status, reason, exitCode, signal) => {
    expect(exitOf(what, stop, overdue, 7)).toMatchObject({ status, reason, exitCode, signal, wallMs: 7 })
  })
})
