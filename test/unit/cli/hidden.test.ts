/** Is what is typed read as it was meant, shown to nobody, and is the terminal left as it was? */
import { PassThrough } from "node:stream"
import { describe, expect, it } from "vitest"
import { readHidden } from "../../../gateway/cli/hidden.ts"
import { processTerminal } from "../../../gateway/cli/terminal.ts"

const fakeTerminal = () => {
  const modes: boolean[] = []
  const terminal = Object.assign(new PassThrough(), { setRawMode: (isRaw: boolean) => modes.push(isRaw) })
  return { terminal, modes }
}
const never = (): void => expect.unreachable("nobody pressed Ctrl-C")

describe("a value that is typed", () => {
  it.each([
    ["as it comes, piece by piece", ["se", "cr", "et\x04"], "secret"],
    ["with its lines, and nothing after its end", ["one\rtwo\x04three"], "one\ntwo"],
    ["without what was taken back, whole characters of it", ["ab\x7fü\x7f\b\x7fc€\x7fd\x04"], "cd"],
    ["without the line that was taken back", ["one\rtwo\x15three\x04"], "one\nthree"],
  ])("HD1 HD2 is read %s", async (_, keys, value) => {
    const { modes, terminal } = fakeTerminal()
    const read = readHidden(terminal, 32, never)
    expect(modes).toEqual([true])
    for (const key of keys) terminal.write(key)
    expect(Buffer.from(await read).toString()).toBe(value)
    expect(modes).toEqual([true, false])
    expect(terminal.isPaused()).toBe(true)
  })

  it("HD1 ends with the terminal, and is refused when it is too long", async () => {
    const gone = fakeTerminal()
    const read = readHidden(gone.terminal, 4, never)
    gone.terminal.end("1234")
    expect(Buffer.from(await read).toString()).toBe("1234")
    const long = fakeTerminal()
    const refused = readHidden(long.terminal, 4, never)
    long.terminal.write("12345")
    await expect(refused).rejects.toMatchObject({ code: "TOO_LARGE" })
    expect([gone.modes, long.modes]).toEqual([
      [true, false],
      [true, false],
    ])
  })

  it("HD1 HD2 is not read any more after Ctrl-C, which is a SIGINT of a terminal that is itself again", async () => {
    const { modes, terminal } = fakeTerminal()
    const streams = { stdout: new PassThrough(), stderr: new PassThrough(), stdin: terminal }
    const killed = new Promise((resolve) => {
      const kill = (pid: number, signal: string) => resolve([pid, signal, ...modes])
      void processTerminal({ ...streams, on: () => {}, off: () => {}, pid: 7, kill }).stdin.readHidden(32)
    })
    terminal.write("half\x03")
    expect(await killed).toEqual([7, "SIGINT", true, false])
  })
})
