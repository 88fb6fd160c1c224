/**
 * What somebody types at a terminal and nobody is to see: the terminal shows nothing, and so what it would do itself is done here.
 *
 *   HD1. The terminal is as it was before, however the reading ends.
 *   HD2. Ctrl-D ends it, Ctrl-C is a SIGINT as anywhere else; backspace takes back a character, Ctrl-U a line.
 */
import type { Readable } from "node:stream"
import { berthError } from "../../core/errors.ts"

export interface RawTerminal extends Readable {
  /** While it is raw it shows nothing of what is typed, and sends keys that are otherwise its own. */
  readonly setRawMode: (isRaw: boolean) => unknown
}

const CTRL_C = 0x03
const CTRL_D = 0x04
const CTRL_U = 0x15
const BACKSPACES: readonly number[] = [0x08, 0x7f]
const ENTER = 0x0d
const LINE_FEED = 0x0a

/** Whether a byte goes on with a character of UTF-8. */
const isContinuation = (byte: number | undefined): boolean => byte !== undefined && (byte & 0xc0) === 0x80

function takeBack(typed: number[]): void {
  while (isContinuation(typed.pop())) continue
}

/** @param interrupt - what Ctrl-C does; nothing is read any more then */
export const readHidden = (terminal: RawTerminal, bytesMax: number, interrupt: () => void): Promise<Uint8Array> =>
  new Promise((resolve, reject) => {
    const typed: number[] = []
    const stop = (then: () => void): void => {
      terminal.off("data", take)
      terminal.off("end", end)
      terminal.off("error", fail)
      terminal.setRawMode(false)
      terminal.pause()
      then()
    }
    const end = (): void => stop(() => resolve(Uint8Array.from(typed)))
    const fail = (cause: Error): void => stop(() => reject(cause))
    const take = (keys: Buffer): void => {
      for (const key of keys) {
        if (key === CTRL_D) return end()
        if (key === CTRL_C) return stop(interrupt)
        if (BACKSPACES.includes(key)) takeBack(typed)
        else if (key === CTRL_U) typed.length = typed.lastIndexOf(LINE_FEED) + 1
        else typed.push(key === ENTER ? LINE_FEED : key)
        if (typed.length > bytesMax)
          return fail(berthError("TOO_LARGE", `what was typed is more than ${bytesMax} bytes`, { path: "--stdin" }))
      }
    }
    terminal.setRawMode(true)
    terminal.on("data", take).once("end", end).once("error", fail)
  })
