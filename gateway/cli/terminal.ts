import type { Readable, Writable } from "node:stream"
import { berthError } from "../../core/errors.ts"
import { type RawTerminal, readHidden } from "./hidden.ts"
import { type CliInput, type CliOutput, type CliSignal, type CliTerminal, OutputGone } from "./host.ts"

/** What this takes of a Node process. */
export interface TerminalProcess {
  readonly stdout: Writable & { readonly isTTY?: boolean }
  readonly stderr: Writable & { readonly isTTY?: boolean }
  /** One that is a terminal can be made raw. */
  readonly stdin: Readable & { readonly isTTY?: boolean } & Partial<Pick<RawTerminal, "setRawMode">>
  readonly pid: number
  readonly kill: (pid: number, signal: CliSignal) => unknown
  readonly on: (signal: CliSignal, listener: () => void) => unknown
  readonly off: (signal: CliSignal, listener: () => void) => unknown
}

/** The terminal of a process. */
export const processTerminal = (process: TerminalProcess): CliTerminal => ({
  stdout: output(process.stdout),
  stderr: output(process.stderr),
  stdin: input(process),
  onSignal: (handler) => {
    const interrupt = () => handler("SIGINT")
    const terminate = () => handler("SIGTERM")
    process.on("SIGINT", interrupt)
    process.on("SIGTERM", terminate)
    return () => {
      process.off("SIGINT", interrupt)
      process.off("SIGTERM", terminate)
    }
  },
})

function output(stream: Writable & { readonly isTTY?: boolean }): CliOutput {
  // A reader that left is told by the write that failed; without a listener it would end the process.
  stream.on("error", () => {})
  return {
    isTty: stream.isTTY === true,
    write: (chunk) =>
      new Promise((resolve, reject) => {
        stream.write(chunk, (cause) => {
          if (cause === null || cause === undefined) resolve()
          else reject(new OutputGone("nobody reads the output any longer", { cause }))
        })
      }),
  }
}

function input(process: TerminalProcess): CliInput {
  const { stdin } = process
  const readAll = async (bytesMax: number): Promise<Uint8Array> => {
    const chunks: Buffer[] = []
    let bytes = 0
    for await (const chunk of stdin) {
      const buffer = Buffer.from(chunk as Buffer | string)
      bytes += buffer.length
      if (bytes > bytesMax)
        throw berthError("TOO_LARGE", `standard input is larger than ${bytesMax} bytes`, { path: "--stdin" })
      chunks.push(buffer)
    }
    return Buffer.concat(chunks)
  }
  const canHide = (stream: Readable): stream is RawTerminal =>
    "setRawMode" in stream && typeof stream.setRawMode === "function"
  return {
    isTty: stdin.isTTY === true,
    readAll,
    readHidden: (bytesMax) =>
      canHide(stdin) ? readHidden(stdin, bytesMax, () => process.kill(process.pid, "SIGINT")) : readAll(bytesMax),
  }
}
