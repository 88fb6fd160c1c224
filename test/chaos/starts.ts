/** How often each task was really started, told by others than the product: the programs' own marks, the engine's events. */
import { existsSync, readFileSync } from "node:fs"
import type { Seen } from "../support/engineWitness.ts"

/** One run of a task began or ended, as somebody else than the product tells it. */
export interface Sign {
  /** `begin`: a program says so itself, in a container that has started before. */
  readonly type: "start" | "begin" | "end"
  readonly taskId: string
  readonly epoch: number
}

const PLACE = /berth-([A-Za-z0-9_-]{1,64})-(\d{1,16})$/

/** Null: no attempt's place, such as a probe of an image. */
const signOf = (type: Sign["type"], name: string): Sign | null => {
  const found = PLACE.exec(name)
  return found === null ? null : { type, taskId: found[1] as string, epoch: Number(found[2]) }
}

/** Is it the name of an attempt's container? */
export const isAttempt = (name: string): boolean => PLACE.test(name)

/** A program names the folder in which it found itself; a handler says as much. */
const MARK = /^(start|end) (.+)\/box$/

/** What programs and handlers have written down, in that order. */
export function markedSigns(file: string): readonly Sign[] {
  const lines = existsSync(file) ? readFileSync(file, "utf8").split("\n") : []
  return lines.flatMap((line) => {
    const [, type, place] = MARK.exec(line) ?? []
    return place === undefined ? [] : (signOf(type as Sign["type"], place) ?? [])
  })
}

const ENGINE_TYPES: Readonly<Record<string, Sign["type"]>> = { start: "start", speak: "begin", die: "end" }

export const engineSigns = (seen: readonly Seen[]): readonly Sign[] =>
  seen.flatMap(({ action, name }) => {
    const type = ENGINE_TYPES[action]
    return type === undefined ? [] : (signOf(type, name) ?? [])
  })

const epochsOf = (signs: readonly Sign[], wanted: Sign["type"]): ReadonlyMap<string, readonly number[]> => {
  const all = new Map<string, number[]>()
  for (const { epoch, taskId, type } of signs) {
    if (type !== wanted) continue
    const epochs = all.get(taskId)
    if (epochs === undefined) all.set(taskId, [epoch])
    else epochs.push(epoch)
  }
  return all
}

/** Epochs in which each task was started, in order, by its id. One that is there twice was started twice. */
export const startsOf = (signs: readonly Sign[]): ReadonlyMap<string, readonly number[]> => epochsOf(signs, "start")
/** Epochs in which the program of each task in a container began. */
export const beginsOf = (signs: readonly Sign[]): ReadonlyMap<string, readonly number[]> => epochsOf(signs, "begin")

/**
 * Tasks that were started while another run of theirs had not ended. A run that says nothing more was killed, nobody knows when:
 * it is not counted.
 */
export function overlaps(signs: readonly Sign[]): ReadonlySet<string> {
  const keyOf = ({ epoch, taskId }: Sign): string => `${taskId} ${epoch}`
  const ended = new Set(signs.filter(({ type }) => type === "end").map(keyOf))
  const running = new Map<string, Set<number>>()
  const found = new Set<string>()
  for (const sign of signs) {
    if (sign.type === "begin" || !ended.has(keyOf(sign))) continue
    const epochs = running.get(sign.taskId) ?? new Set()
    running.set(sign.taskId, epochs)
    if (sign.type === "end") epochs.delete(sign.epoch)
    else if (epochs.add(sign.epoch).size > 1) found.add(sign.taskId)
  }
  return found
}
