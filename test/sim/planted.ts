/** Bugs that somebody might make, as changes of the shipped files: each must be found by the simulator, by the rule that it breaks. */
export interface Plant {
  readonly bug: string
  readonly file: string
  /** Text of the file, each found exactly once, and what it becomes. */
  readonly changes: readonly (readonly [from: string, to: string])[]
  /** Nodes of the simulation that finds it. Default 1: embedded. */
  readonly nodes?: number
  /** How what is found begins. */
  readonly finds: RegExp
}

export const PLANTS: readonly Plant[] = [
  {
    bug: "a wake-up is acked before `started` is durable",
    file: "actors/worker/starting.ts",
    changes: [
      ["    const turned = yield* turns\n", "    yield* ack.pipe(Effect.ignore)\n    const turned = yield* turns\n"],
    ],
    finds: /^ {2}I4: the wake-up of .* was acked, and nobody had started it/m,
  },
  {
    bug: "nobody looks at the epoch of who writes",
    file: "core/task/machine.ts",
    changes: [
      [
        'const current = ({ context, event }: Args): boolean => "epoch" in event && context.holder?.epoch === event.epoch',
        "const current = (_: Args): boolean => true",
      ],
    ],
    finds: /^ {2}I[23]: /m,
  },
  {
    bug: "a lease is counted from its reply",
    file: "actors/worker/lease.ts",
    changes: [
      [
        "      Effect.map((renewed) => trust(renewed, sentMonoMs)),\n",
        "      Effect.map((renewed) => trust(renewed, Math.max(sentMonoMs, clock.monoMs()))),\n",
      ],
    ],
    nodes: 3,
    finds: /^ {2}I9: .* runs [\d.]+ ms after the lease of \S+ ended/m,
  },
  {
    bug: "a retry has no jitter",
    file: "core/policy/retry.ts",
    changes: [["  return Math.floor(ceiling * jitter01)", "  return jitter01 < 0 ? 0 : ceiling"]],
    finds: /^ {2}retries: \d+ delays, all 1 of the longest/m,
  },
  {
    bug: "slots are counted up and down instead of folded",
    file: "core/policy/slots.ts",
    changes: [
      [
        "  private readonly held = new Map<string, HeldSlot>()\n",
        "  private readonly held = new Map<string, HeldSlot>()\n  private counter = 0\n",
      ],
      [
        "    if (this.waitsFor(taskId, epoch))\n",
        "    if (this.waitsFor(taskId, epoch)) this.counter += 1\n    if (this.waitsFor(taskId, epoch))\n",
      ],
      ["    this.held.delete(taskId)\n", "    this.held.delete(taskId)\n    this.counter -= 1\n"],
      ["    return this.byPool.get(pool)?.size ?? 0\n", '    return pool === "" ? 0 : this.counter\n'],
    ],
    finds: /^ {2}I6: /m,
  },
]
