/**
 * Keeps load and kills in step over the whole run, and says from time to time how far both are.
 *
 *   PA1. A load that is ahead goes on in a few of its lanes: the others would keep the machine from starting again what was
 *        killed. Never in none, so that every kill meets something.
 *   PA2. Kills that are ahead wait for the load, or until it is over: each meets a cluster that has done something since.
 */
const PROGRESS_MS = 30_000
/** Of the load's lanes, when it is ahead. */
const LANES_AHEAD = 1 / 16
/** So many kills may be ahead of their tasks. */
const KILLS_AHEAD = 1

export interface PaceOptions {
  readonly tasks: number
  readonly kills: number
  readonly lanes: number
  readonly note: (text: string) => void
}

export class Pace {
  readonly #options: PaceOptions
  readonly #beganMonoMs = performance.now()
  readonly #timer: NodeJS.Timeout
  #rested = 0
  #killed = 0
  #isLoading = true

  constructor(options: PaceOptions) {
    const { kills, note, tasks } = options
    this.#options = options
    const say = (): void =>
      note(
        `after ${this.seconds} s ${this.#rested} of ${tasks} tasks have ended, ${this.#killed} of ${kills} kills are done`,
      )
    this.#timer = setInterval(say, PROGRESS_MS)
  }

  get seconds(): number {
    return Math.round((performance.now() - this.#beganMonoMs) / 1_000)
  }

  /** One more task is at rest. */
  readonly rested = (): void => void (this.#rested += 1)
  /** One more kill has happened, and what was killed serves again. */
  readonly killed = (): void => void (this.#killed += 1)
  readonly loadIsOver = (): void => void (this.#isLoading = false)
  readonly isKilling = (): boolean => this.#killed < this.#options.kills

  /** PA1: so many tasks may be under way now. */
  readonly lanes = (): number => {
    const { kills, lanes, tasks } = this.#options
    const isAhead = this.isKilling() && this.#rested * kills > (this.#killed + 1) * tasks
    return isAhead ? Math.ceil(lanes * LANES_AHEAD) : lanes
  }

  /** PA2 */
  readonly mayKill = (): boolean => {
    const { kills, tasks } = this.#options
    return !this.#isLoading || (this.#killed - KILLS_AHEAD) * tasks <= this.#rested * kills
  }

  /** Says nothing more. */
  stop(): void {
    clearInterval(this.#timer)
  }
}
