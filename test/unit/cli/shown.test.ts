import { PassThrough } from "node:stream"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { TaskView } from "../../../actors/api.ts"
import { PHASES } from "../../../core/words.ts"
import { escapeControls } from "../../../gateway/cli/escape.ts"
import { exitCodeOf } from "../../../gateway/cli/exitCode.ts"
import { OutputGone } from "../../../gateway/cli/host.ts"
import { StatusLine } from "../../../gateway/cli/statusLine.ts"
import { table } from "../../../gateway/cli/table.ts"
import { processTerminal, type TerminalProcess } from "../../../gateway/cli/terminal.ts"
import { phaseWords } from "../../../gateway/cli/words.ts"
import { fakeHost } from "../../support/cliHost.ts"
import { settle } from "../../support/clock.ts"
import { fakeTasks } from "../../support/fakeTasks.ts"

describe("what somebody else wrote, at our terminal", () => {
  it("keeps no control character, and no character that turns the direction of writing", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 0x10ffff }), { maxLength: 30 }), (points) => {
        const text = String.fromCodePoint(...points, ...points.map((point) => point % 0x300))
        expect(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u.test(escapeControls(text))).toBe(false)
      }),
    )
    expect(escapeControls("a\u001b[2J\u202eb\tж\u{1f600}\n")).toBe("a\\x1b[2J\\u{202e}b\\tж\u{1f600}\\n")
  })

  it("stays in its cell of a table", () => {
    expect(
      table(
        ["A", "B"],
        [
          ["x\ny", "1"],
          ["ж", "22"],
        ],
      ),
    ).toBe("A     B\nx\\ny  1\nж     22\n")
    expect(table(["A", "B"], [])).toBe("A  B\n")
  })
})

describe("exit codes", () => {
  it("are the program's own from 0 to 255, and 128 + n for signals", () => {
    for (let code = 1; code <= 255; code++)
      expect(exitCodeOf({ status: "failed", reason: "exit_nonzero", exitCode: code, signal: null })).toBe(code)
    const bySignal = { SIGKILL: 137, SIGTERM: 143, SIGSEGV: 139, SIGABRT: 134, SIGINT: 130 }
    for (const [signal, code] of Object.entries(bySignal))
      expect(exitCodeOf({ status: "failed", reason: "signal", exitCode: null, signal })).toBe(code)
  })

  it("are ours where there is no program to speak of", () => {
    for (const reason of ["refused", "expired", "worker_lost", "quarantined"] as const)
      expect(exitCodeOf({ status: "failed", reason, exitCode: null, signal: null })).toBe(125)
    expect(exitCodeOf({ status: "failed", reason: "handler_error", exitCode: null, signal: null })).toBe(1)
    expect(exitCodeOf({ status: "failed", reason: "signal", exitCode: null, signal: "SIGWHAT" })).toBe(125)
  })
})

describe("the line that says what is going on", () => {
  const open = (isTty: boolean) => {
    const host = fakeHost({ isTty })
    return { ...host, line: new StatusLine(host.host, true) }
  }

  it("shows itself again and again, gives way to output, and never stands behind an unfinished line", async () => {
    const { line, err, clear, fireTimers } = open(true)
    let words = "queued"
    line.show(() => words)
    words = "running\u001b[2J"
    fireTimers()
    await settle()
    expect(err()).toContain("queued")
    expect(err()).toContain("running\\x1b[2J")
    await line.giveWay()
    expect(err().endsWith("\r\u001b[2K")).toBe(true)
    line.printed(Buffer.from("half a line"))
    clear()
    fireTimers()
    await settle()
    expect(err()).toBe("")
    line.printed(Buffer.from("the rest\n"))
    fireTimers()
    await settle()
    expect(err()).toContain("running")
    await line.stop()
    clear()
    fireTimers()
    expect(err()).toBe("")
  })

  it("ends an unfinished line before the closing line, and is nothing where there is no terminal", async () => {
    const { line, err, clear } = open(true)
    line.show(() => "x")
    await line.giveWay()
    line.printed(Buffer.from("half"))
    clear()
    await line.stop()
    expect(err()).toBe("\n")
    const silent = open(false)
    silent.line.show(() => "x")
    await silent.line.stop()
    expect(silent.err()).toBe("")
  })

  it("has words for every phase", () => {
    const task: TaskView = { ...fakeTasks().add("ann"), wakeAtMs: 5_000, attempt: 2, maxAttempts: 3 }
    const words = PHASES.map((phase) => phaseWords({ ...task, phase }, 1_000))
    expect(new Set(words).size).toBe(PHASES.length)
    expect(phaseWords({ ...task, phase: "retrying" }, 1_000)).toBe("attempt 2 of 3 in 4.0 s")
    expect(phaseWords({ ...task, phase: "limited" }, 1_000)).toBe("queued, waiting for a slot of owner ann")
  })
})

describe("the terminal of a process", () => {
  const open = () => {
    const listeners = new Map<string, () => void>()
    const streams = { stdout: new PassThrough(), stderr: new PassThrough(), stdin: new PassThrough() }
    const process: TerminalProcess = {
      ...streams,
      on: (signal, listener) => listeners.set(signal, listener),
      off: (signal) => listeners.delete(signal),
      pid: 1,
      kill: () => {},
    }
    return { ...streams, listeners, terminal: processTerminal(process) }
  }

  it("writes bytes as they are, reads all of its input within bounds, and hears signals while somebody listens", async () => {
    const { stdout, stdin, listeners, terminal } = open()
    await terminal.stdout.write(Uint8Array.of(0, 255, 10))
    expect([...(stdout.read() as Buffer)]).toEqual([0, 255, 10])
    stdin.end("input")
    expect(Buffer.from(await terminal.stdin.readAll(5)).toString()).toBe("input")
    const heard: string[] = []
    const stop = terminal.onSignal((signal) => heard.push(signal))
    listeners.get("SIGINT")?.()
    listeners.get("SIGTERM")?.()
    expect(heard).toEqual(["SIGINT", "SIGTERM"])
    stop()
    expect(listeners.size).toBe(0)
  })

  it("says when the input is too large, and when nobody reads the output any longer", async () => {
    const { stdout, stdin, terminal } = open()
    stdin.end("123456")
    await expect(terminal.stdin.readAll(5)).rejects.toMatchObject({ code: "TOO_LARGE", path: "--stdin" })
    stdout.destroy()
    await expect(terminal.stdout.write("x")).rejects.toBeInstanceOf(OutputGone)
  })
})
