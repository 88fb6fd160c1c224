/** What the demo prints: plain lines, with colour only at a terminal. */

type Style = "bold" | "dim" | "good" | "bad" | "accent"

const CODES: Readonly<Record<Style, string>> = { bold: "1", dim: "2", good: "32", bad: "31", accent: "36" }
const NAME_CHARS = 10

export interface ScreenOutput {
  readonly isTTY?: boolean
  readonly write: (text: string) => unknown
}

export class Screen {
  readonly #output: ScreenOutput
  readonly #beganMs = performance.now()

  constructor(output: ScreenOutput) {
    this.#output = output
  }

  paint(style: Style, text: string): string {
    return this.#output.isTTY === true ? `\u001b[${CODES[style]}m${text}\u001b[0m` : text
  }

  line(text = ""): void {
    this.#output.write(`${text}\n`)
  }

  heading(text: string): void {
    this.line()
    this.line(this.paint("bold", text))
  }

  /** Something happened just now: seconds since the demo began, whose it is, what. */
  event(name: string, text: string, style?: Style): void {
    const atS = ((performance.now() - this.#beganMs) / 1_000).toFixed(2).padStart(6)
    const shown = style === undefined ? text : this.paint(style, text)
    this.line(`${this.paint("dim", `${atS} s`)}  ${this.paint("accent", name.padEnd(NAME_CHARS))}  ${shown}`)
  }
}

/** Control characters of a program's own output, shown as escapes: it must not steer the terminal. */
export const escaped = (text: string): string =>
  text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`)
