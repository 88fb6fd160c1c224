/** The programs of the chaos drill: what is asked for, and what each must have printed in the end. */
import type { SubmitRequest } from "../../gateway/client/index.ts"
import type { Seeded } from "../support/seeded.ts"
import { counting } from "../support/workload.ts"

/** The pool of the workers that have an engine; all others run programs as processes of this host. */
export const CONTAINERS = "containers"

/** Who else tells how often it was started. */
export type Teller = "marks" | "engine"

export interface Order {
  /** Says of a submit that it is the same one again. */
  readonly word: string
  readonly teller: Teller
  readonly request: SubmitRequest
  /** What it has printed when it has completed, and what its result is. */
  readonly stdout: string
  readonly value: unknown
}

export interface ProgramOrders {
  readonly random: Seeded
  /** Where programs and handlers leave their marks. */
  readonly marks: string
}

export interface Orders extends ProgramOrders {
  /** One of so many is a container; null: none is, because there is no engine. */
  readonly containerEvery: number | null
}

/** One of so many is a program, as a process; what is neither that nor a container is a handler, which costs least. */
const PROGRAM_EVERY = 4
/** One of so many takes long, so that whatever is killed meets some in the middle. */
const LONG_EVERY = 8
const LONG_MS = 600
const LINES_MAX = 4
const EVERY_MS_MAX = 100
const TIMEOUT_MS = 600_000

/** The working directory names task and epoch. A mark is made before and after everything else, at once and whole. */
const MARKING = `echo "start $PWD" >> "$1"
for ((n = 1; n <= $2; n++)); do echo "line $n"; [ "$3" = 0 ] || sleep "$3"; done
echo "end $PWD" >> "$1"`

/** What the handler of handlerNode.mjs is given. */
export interface MarkInput {
  readonly marks: string
  readonly word: string
  readonly ms: number
}

/** What a program in a container prints before anything else. */
export const FIRST_WORDS = "line 1\n"

/** How much it prints, and how slowly. */
const pace = (random: Seeded): { readonly lines: number; readonly everyMs: number } => ({
  lines: random.whole(1, LINES_MAX),
  everyMs: random.whole(0, LONG_EVERY - 1) === 0 ? LONG_MS : random.whole(0, EVERY_MS_MAX),
})
const wordOf = (random: Seeded, number: number): string => `c${random.seed}-${number}`
const printed = (lines: number): string => counting(lines, 0).expected.stdout ?? ""

/** A program, as a process of the worker's host. */
export function programOf({ marks, random }: ProgramOrders, number: number): Order {
  const word = wordOf(random, number)
  const { everyMs, lines } = pace(random)
  const args = [marks, String(lines), String(everyMs / 1_000)]
  const request = { runtime: "bash", code: MARKING, args, timeoutMs: TIMEOUT_MS, idempotencyKey: word }
  return { word, teller: "marks", request, stdout: printed(lines), value: null }
}

function handlerOf({ marks, random }: ProgramOrders, number: number): Order {
  const word = wordOf(random, number)
  const { everyMs, lines } = pace(random)
  const input: MarkInput = { marks, word, ms: lines * everyMs }
  const request = { handler: "mark", input, timeoutMs: TIMEOUT_MS, idempotencyKey: word }
  return { word, teller: "marks", request, stdout: "", value: word }
}

function containerOf({ random }: ProgramOrders, number: number): Order {
  const word = wordOf(random, number)
  const { everyMs, lines } = pace(random)
  const request = { ...counting(lines, everyMs).request, idempotencyKey: word, pool: CONTAINERS }
  return { word, teller: "engine", request, stdout: printed(lines), value: null }
}

/**
 * Of a drill in which nodes are told to stop: what runs is left to a successor. Handlers would begin again, as they are in the
 * process that stops.
 */
export const rolledOrderOf = (orders: Orders, number: number): Order =>
  isContainer(orders, number) ? containerOf(orders, number) : programOf(orders, number)

const isContainer = ({ containerEvery }: Orders, number: number): boolean =>
  containerEvery !== null && number % containerEvery === 0

/** The order of this number. */
export function orderOf(orders: Orders, number: number): Order {
  if (isContainer(orders, number)) return containerOf(orders, number)
  return number % PROGRAM_EVERY === 1 ? programOf(orders, number) : handlerOf(orders, number)
}
