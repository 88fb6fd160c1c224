/** What a watch, or the log, shows of a task: as much of it as the books need, and no more, because they hold it of every task. */
import type { TaskEvent } from "../../gateway/client/index.ts"
import type { OutputStream } from "../../core/words.ts"

export interface StateSighting {
  readonly type: "state"
  readonly seq: number
  readonly facts: readonly string[]
  readonly status: string
  readonly attempt: number
  readonly epoch: number
  /** Of the last attempt that ended. */
  readonly result: {
    readonly reason: string
    readonly message: string | null
    readonly value: unknown
    readonly overlapPossible: boolean
  } | null
}

export interface OutputSighting {
  readonly type: "output"
  readonly seq: number
  readonly epoch: number
  readonly stream: OutputStream
  readonly offset: number
  readonly text: string
}

export interface OtherSighting {
  readonly type: "gap" | "progress"
  readonly seq: number
}

export type Sighting = StateSighting | OutputSighting | OtherSighting
/** Of one task, in the order in which it was told. */
export type Story = readonly Sighting[]

/** Null: the end, which is no record, and what is live and not kept, which is only for who watches at that moment. */
export function sightingOf(event: TaskEvent): Sighting | null {
  if (event.seq === null || event.type === "end") return null
  if (event.type === "output") {
    const { bytes, epoch, offset, seq, stream } = event
    return { type: "output", seq, epoch, stream, offset, text: Buffer.from(bytes).toString() }
  }
  if (event.type !== "state") return { type: event.type, seq: event.seq }
  const { attempt, epoch, result, status } = event.task
  return {
    type: "state",
    seq: event.seq,
    facts: event.facts,
    status,
    attempt,
    epoch,
    result:
      result === null || result === undefined
        ? null
        : {
            reason: result.reason,
            message: result.message,
            value: result.value ?? null,
            overlapPossible: result.overlapPossible,
          },
  }
}

export const statesOf = (story: Story): readonly StateSighting[] =>
  story.filter(({ type }) => type === "state") as readonly StateSighting[]
export const withFact = (story: Story, fact: string): readonly StateSighting[] =>
  statesOf(story).filter(({ facts }) => facts.includes(fact))
export const startedEpochs = (story: Story): readonly number[] => withFact(story, "started").map(({ epoch }) => epoch)
export const lastOf = (story: Story): StateSighting | undefined => statesOf(story).at(-1)
/** Its life in one line. */
export const tell = (story: Story): string =>
  statesOf(story)
    .map(({ epoch, facts }) => `${facts.join("+")}@${epoch}`)
    .join(" ")
