/** Programs whose output is known beforehand, and the book of what the server has accepted. */
import type { BerthClient, SubmitRequest } from "../../gateway/client/index.ts"
import type { Expected } from "./story.ts"

const MIB = 1024 * 1024
const SMALL = { memoryBytes: 32 * MIB, tmpfsBytes: 2 * MIB, pidsMax: 16 }

/** What is asked for, and what must come of it. */
export interface Order {
  readonly request: SubmitRequest
  readonly expected: Omit<Expected, "id">
}

const COUNTING = `$| = 1;
my ($lines, $ms) = @ARGV;
for my $line (1 .. $lines) { print "line $line\\n"; select(undef, undef, undef, $ms / 1000) }
`

/** Prints numbered lines, one every `everyMs`. */
export const counting = (lines: number, everyMs: number): Order => ({
  request: {
    runtime: "perl",
    code: COUNTING,
    args: [String(lines), String(everyMs)],
    limits: SMALL,
    timeoutMs: 600_000,
    labels: { kind: "counting" },
  },
  expected: {
    status: "completed",
    attempts: 1,
    stdout: Array.from({ length: lines }, (_, index) => `line ${index + 1}\n`).join(""),
  },
})

/** Says one word and succeeds; starts `inMs` from now, if that is given. */
export const brief = (word: string, inMs = 0): Order => ({
  request: {
    runtime: "bash",
    code: `echo ${word}`,
    limits: SMALL,
    labels: { kind: "brief" },
    ...(inMs > 0 ? { startAtMs: Date.now() + inMs } : {}),
  },
  expected: { status: "completed", attempts: 1, stdout: `${word}\n` },
})

/** Succeeds and leaves a file. */
export const keeping = (word: string): Order => ({
  request: {
    runtime: "bash",
    code: `mkdir -p out; echo kept > out/${word}; echo ${word}`,
    limits: SMALL,
    artifacts: true,
    labels: { kind: "keeping" },
  },
  expected: { status: "completed", attempts: 1, stdout: `${word}\n` },
})

/** Fails as often as it may. */
export const failing = (word: string, attempts: number, delayMs: number): Order => ({
  request: {
    runtime: "bash",
    code: `echo ${word}; exit 3`,
    limits: SMALL,
    labels: { kind: "failing" },
    maxAttempts: attempts,
    retry: { delayMsInitial: delayMs, delayMsMax: delayMs, factor: 1 },
  },
  expected: { status: "failed", attempts, stdout: `${word}\n` },
})

/** Submits, and remembers what was acknowledged. */
export class Book {
  readonly #client: BerthClient
  readonly #accepted = new Map<string, Expected>()
  #asked = 0

  constructor(client: BerthClient) {
    this.#client = client
  }

  /** Resolves once the server has accepted it, however often it has to be asked. */
  async order({ expected, request }: Order): Promise<string> {
    this.#asked += 1
    const { id } = await this.#client.submit(request)
    this.#accepted.set(id, { ...expected, id })
    return id
  }

  /** Somebody asked for something else of a task that was accepted. */
  expect(id: string, change: Partial<Expected>): void {
    const known = this.#accepted.get(id)
    if (known !== undefined) this.#accepted.set(id, { ...known, ...change })
  }

  /** The task is gone, because that was asked for. */
  forget(id: string): void {
    this.#accepted.delete(id)
  }

  get accepted(): readonly Expected[] {
    return [...this.#accepted.values()]
  }
  /** How many tasks there must be: each order is one, also when its answer was lost and it was sent again. */
  get asked(): number {
    return this.#asked
  }
}
