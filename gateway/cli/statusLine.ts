import { escapeControls } from "./escape.ts"
import type { CliHost } from "./host.ts"

const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"]
const FRAME_MS = 120
const CLEAR_LINE = "\r\x1b[2K"

/**
 * One line at the bottom of a terminal that says what is going on. It gives way to whatever else is printed, and never
 * stands behind a line that the program has not finished.
 */
export class StatusLine {
  readonly #host: CliHost
  readonly #enabled: boolean
  #words: (() => string) | null = null
  #cancelTick: (() => void) | null = null
  #frame = 0
  #isShown = false
  #atLineBegin = true

  constructor(host: CliHost, enabled: boolean) {
    this.#host = host
    this.#enabled = enabled && host.stderr.isTty
  }

  /** From now on shows these words, asked for anew with every frame. */
  show(words: () => string): void {
    if (!this.#enabled) return
    this.#words = words
    if (this.#cancelTick === null) this.#tick()
  }

  /** Before something else is printed on the terminal. */
  async giveWay(): Promise<void> {
    if (!this.#isShown) return
    this.#isShown = false
    await this.#host.stderr.write(CLEAR_LINE)
  }

  /** After the program printed these bytes there. */
  printed(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#atLineBegin = bytes[bytes.length - 1] === 0x0a
  }

  async stop(): Promise<void> {
    this.#cancelTick?.()
    this.#cancelTick = null
    this.#words = null
    await this.giveWay()
    // Our closing line begins on a line of its own.
    if (this.#enabled && !this.#atLineBegin) await this.#host.stderr.write("\n")
    this.#atLineBegin = true
  }

  #tick(): void {
    this.#cancelTick = this.#host.after(FRAME_MS, () => this.#tick())
    if (this.#words === null || !this.#atLineBegin) return
    this.#isShown = true
    this.#frame = (this.#frame + 1) % FRAMES.length
    this.#host.stderr.write(`${CLEAR_LINE}${FRAMES[this.#frame]} ${escapeControls(this.#words())}`).catch(() => {})
  }
}
