import type { BerthClient, RunOutcome, SubmitRequest, TaskHandle } from "../client/publicTypes.ts"

/** What is known when a scenario's program has ended. */
export interface Ended {
  readonly client: BerthClient
  readonly outcome: RunOutcome
  readonly outputEvents: number
}

export interface Scenario {
  readonly name: string
  readonly shows: string
  /** Limits and isolation that only a container gives. */
  readonly needsContainers?: true
  readonly request: SubmitRequest
  readonly expected: {
    readonly status: RunOutcome["status"]
    readonly reason: RunOutcome["reason"]
    readonly exitCode?: number
    readonly signal?: string
    readonly attempt?: number
  }
  /** Called once, when the program has printed its first line. */
  readonly act?: (handle: TaskHandle) => Promise<unknown>
  /** What else must be so: sentences about what is not. */
  readonly faults?: (ended: Ended) => Promise<readonly string[]> | readonly string[]
}

/** A fault unless it holds. */
export const unless = (holds: boolean, fault: string): readonly string[] => (holds ? [] : [fault])

/** Where an outcome is not what the scenario expects. */
export const expectationFaults = ({ expected }: Scenario, outcome: RunOutcome): readonly string[] =>
  Object.entries(expected).flatMap(([field, wanted]) => {
    const found = outcome[field as keyof Scenario["expected"]]
    return unless(
      found === wanted,
      `${field} is ${String(found)}, not ${String(wanted)} ${outcome.message ?? ""}`.trim(),
    )
  })
