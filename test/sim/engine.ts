/**
 * A container engine that outlives every worker: places, programs that go on by themselves, and what they have printed.
 *
 *   EN1. A program is started at most once in a place; a place that is gone stays gone.
 *   EN2. What was printed is kept by the place, so that whoever adopts it reads it from any offset.
 *   EN3. A stop that comes before the program is heeded when the program comes (EX3).
 *   EN4. A handler's program lives in its worker and ends with it.
 *   EN5. What is paused does nothing until it goes on; its own time limit does not stand still.
 */
import type { Exit, Job, StopMode } from "../../core/ports/executor.ts"
import { exitOf } from "../support/fakeExecutor.ts"
import type { Life, Schedule } from "./schedule.ts"

export const ENDINGS = ["exits", "fails", "flaky", "outOfMemory", "hangs", "stubborn"] as const
type Ending = (typeof ENDINGS)[number]

/** A worker, and the process that it is in. */
export interface Keeper {
  readonly life: Life
  readonly worker: string
}

export interface Place {
  readonly id: string
  readonly worker: string
  readonly job: Job
  state: "made" | "running" | "exited" | "gone"
  isPaused: boolean
  /** What it would have done next while it was paused. */
  onGoOn: (() => void) | null
  /** Who made it, or adopted it last. */
  keeper: Keeper
  printed: Uint8Array
  linesLeft: number
  stop: StopMode | null
  exit: Exit | null
  readonly changed: Set<() => void>
}

const LINE_MS_MAX = 400
const STOPPED: Record<StopMode, Partial<Exit>> = {
  cancel: { status: "cancelled", reason: "cancelled", exitCode: 143 },
  kill: { status: "cancelled", reason: "killed", exitCode: 137 },
  deadline: { status: "timeout", reason: "deadline", exitCode: 143 },
}
const FAILED = { status: "failed", reason: "exit_nonzero", exitCode: 1 } as const

/** What a task's program does is in its command, or in its handler's input: an ending and a number of lines. */
const planOf = ({ program }: Job): readonly [Ending, number] => {
  const words =
    program.kind === "handler" ? (program.input as string[]) : program.kind === "image" ? program.command : []
  return [words[0] as Ending, Number(words[1])]
}

/** Line `line` of a run. */
const lineOf = ({ epoch, taskId }: Job, line: number): Uint8Array =>
  new TextEncoder().encode(`${taskId} ${epoch} ${line}\n`)

export class Engine {
  readonly places = new Map<string, Place>()
  readonly id: string
  /** Everything that a run has printed, by task and the epoch at which it was started; kept after the place is gone. */
  readonly printed: Map<string, Uint8Array>
  readonly starts = new Map<string, number>()
  readonly #schedule: Schedule

  /** @param printed - shared by the engines of one simulation */
  constructor(schedule: Schedule, id: string, printed: Map<string, Uint8Array>) {
    this.#schedule = schedule
    this.id = id
    this.printed = printed
  }

  make(id: string, job: Job, life: Life): void {
    if (this.places.has(id)) return
    const place: Place = {
      id,
      worker: job.worker,
      job,
      state: "made",
      isPaused: false,
      onGoOn: null,
      keeper: { life, worker: job.worker },
      printed: new Uint8Array(0),
      linesLeft: planOf(job)[1],
      stop: null,
      exit: null,
      changed: new Set(),
    }
    this.places.set(id, place)
  }

  start(place: Place): void {
    if (place.state !== "made") return
    const { job, stop } = place
    place.state = "running"
    this.starts.set(place.id, (this.starts.get(place.id) ?? 0) + 1)
    if (stop !== null) return this.#end(place, STOPPED[stop])
    this.#goOn(place)
    // Its own limit, for when nobody is there to stop it (EX9).
    this.#schedule.after(null, job.spec.timeoutMs + job.spec.graceMs, () => this.#end(place, STOPPED.deadline))
  }

  stop(place: Place, mode: StopMode): void {
    place.stop ??= mode
    if (place.state !== "running") return
    const isStubborn = planOf(place.job)[0] === "stubborn" && mode !== "kill"
    if (!isStubborn) return this.#end(place, STOPPED[mode])
    this.#schedule.after(null, place.job.spec.graceMs, () => this.#end(place, STOPPED[mode]))
  }

  remove(place: Place | undefined): void {
    if (place === undefined) return
    place.state = "gone"
    this.places.delete(place.id)
    this.#tell(place)
  }

  /** @returns whether nothing of it runs, or will before it is asked again (EX7) */
  pause(place: Place | undefined): boolean {
    if (place?.state === "running") place.isPaused = true
    return place?.state !== "made"
  }

  goOn(place: Place | undefined): void {
    if (place === undefined) return
    place.isPaused = false
    const next = place.onGoOn
    place.onGoOn = null
    next?.()
  }

  #end(place: Place, more: Partial<Exit>): void {
    if (place.state !== "running") return
    place.state = "exited"
    place.exit = exitOf(more)
    this.#tell(place)
  }

  #goOn(place: Place): void {
    const readyAtMs = this.#schedule.nowMs + this.#schedule.whole(0, LINE_MS_MAX)
    const label = `program ${place.job.taskId}`
    this.#schedule.add({ label, life: null, readyAtMs, happen: () => this.#doNext(place) })
  }

  #doNext(place: Place): void {
    if (place.state !== "running") return
    if (place.isPaused) {
      place.onGoOn = () => this.#goOn(place)
      return
    }
    const { job } = place
    if (place.linesLeft > 0) {
      const line = lineOf(job, place.linesLeft)
      place.linesLeft -= 1
      place.printed = Buffer.concat([place.printed, line])
      this.printed.set(`${job.taskId}/${job.epoch}`, place.printed)
      this.#tell(place)
      return this.#goOn(place)
    }
    const [ending] = planOf(job)
    if (ending === "exits") this.#end(place, {})
    else if (ending === "fails" || (ending === "flaky" && job.attempt === 1)) this.#end(place, FAILED)
    else if (ending === "flaky") this.#end(place, {})
    else if (ending === "outOfMemory") this.#end(place, { status: "failed", reason: "out_of_memory", exitCode: 137 })
  }

  #tell(place: Place): void {
    for (const look of [...place.changed]) look()
  }
}

/** What ends with a life: its handlers. */
export const endHandlersOf = (engine: Engine, life: Life): void => {
  for (const place of [...engine.places.values()])
    if (place.id.startsWith("h-") && place.keeper.life === life) engine.remove(place)
}
