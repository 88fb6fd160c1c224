import type { RunOptions, Task, TaskEvent } from "../client/publicTypes.ts"
import { escaped, type Screen } from "./screen.ts"

/** Tells the events of one task as they arrive, each line of output by itself. */
export class Narrator {
  readonly #screen: Screen
  readonly #name: string
  readonly #rest = { stdout: "", stderr: "" }
  readonly #decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() }
  /** Arrivals of output, of which each is one event of the watch. */
  outputEvents = 0

  constructor(screen: Screen, name: string) {
    this.#screen = screen
    this.#name = name
  }

  readonly onEvent: NonNullable<RunOptions["onEvent"]> = (event) => this.#tell(event)

  #tell(event: TaskEvent): void {
    if (event.type === "state") this.#state(event.facts, event.task)
    if (event.type !== "output") return
    this.outputEvents += 1
    const { stream, bytes } = event
    const lines = (this.#rest[stream] + this.#decoders[stream].decode(bytes, { stream: true })).split("\n")
    this.#rest[stream] = lines.pop() ?? ""
    for (const line of lines) this.#screen.event(this.#name, `| ${escaped(line)}`)
  }

  #state(facts: readonly string[], task: Task): void {
    for (const fact of facts) {
      const text = factText(fact, task)
      if (text !== null) this.#screen.event(this.#name, text, fact === "ended" ? "dim" : undefined)
    }
  }
}

function factText(fact: string, task: Task): string | null {
  switch (fact) {
    case "started":
      return `attempt ${task.attempt} of ${task.maxAttempts} starts`
    case "stopRequested":
      return `is asked to stop (${task.stopRequested ?? "cancel"})`
    case "ended":
      return task.result === null
        ? null
        : `ends: ${task.result.status} (${task.result.reason})${exitText(task.result.exitCode, task.result.signal)}`
    case "retried":
      return `attempt ${task.attempt} follows in ${Math.max(0, (task.wakeAtMs ?? task.updatedAtMs) - task.updatedAtMs)} ms`
    default:
      return null
  }
}

const exitText = (exitCode: number | null, signal: string | null): string =>
  signal !== null ? `, ${signal}` : exitCode === null ? "" : `, exit ${exitCode}`
