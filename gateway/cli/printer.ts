import { asBerthError, type BerthError } from "../../core/errors.ts"
import { escapeControls } from "./escape.ts"
import type { CliHost } from "./host.ts"

export interface PrintFlags {
  readonly json?: boolean
  readonly verbose?: boolean
}

/** What the commands say: answers on standard output, notes for people and errors on standard error. */
export class Printer {
  readonly json: boolean
  /** Notes are for people: shown at a terminal, or when asked for. */
  readonly hasNotes: boolean
  readonly #host: CliHost

  constructor(host: CliHost, flags: PrintFlags) {
    this.#host = host
    this.json = flags.json === true
    this.hasNotes = flags.verbose === true || host.stderr.isTty
  }

  /** An answer: an object for programs, or a text for people. */
  async answer(value: unknown, text: string): Promise<void> {
    await this.#host.stdout.write(this.json ? `${JSON.stringify(value)}\n` : text)
  }

  /** A note; nothing where notes are not wanted. */
  async note(text: string): Promise<void> {
    if (this.hasNotes) await this.say(text)
  }

  /** A line that is said even where notes are not wanted. */
  async say(text: string): Promise<void> {
    await this.#host.stderr.write(`${text}\n`)
  }

  /** What went wrong, and what to do about it. With `--json` as an object, on the last line. */
  async error(cause: unknown): Promise<void> {
    const error = asBerthError(cause)
    await this.say(this.json ? JSON.stringify({ error: errorFields(error) }) : errorText(error)).catch(() => {})
  }
}

export const errorFields = (error: BerthError) => ({
  code: error.code,
  message: error.message,
  retryable: error.retryable,
  hint: error.advice,
  path: error.path ?? null,
})

export const errorText = (error: BerthError): string =>
  `berth: ${escapeControls(error.message)} (${error.code})\n  ${escapeControls(error.advice)}`
