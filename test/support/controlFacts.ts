/** What is written on `control`, as a drill follows it beside the cluster, and what must never stand there. */
import { Context, Effect, Fiber, Stream } from "effect"
import { EventLog } from "../../core/ports/eventLog.ts"
import type { ControlRecord } from "../../core/record.ts"
import { openPorts } from "./nats.ts"

type Fact = ControlRecord["fact"]

export interface FollowedControl {
  /** All since the beginning, in log order, before anybody trims it. */
  readonly facts: readonly Fact[]
  readonly stop: () => Promise<void>
}

/** Follows the subject from now on, over a connection of its own. */
export async function followControl(url: string): Promise<FollowedControl> {
  const facts: Fact[] = []
  let begin = (): void => {}
  const begun = new Promise<void>((resolve) => (begin = resolve))
  const following = Effect.gen(function* () {
    const ports = yield* openPorts({ servers: [url], cluster: "main", manages: false })
    const log = Context.get(ports, EventLog)
    const head = yield* log.head
    begin()
    yield* Stream.runForEach(log.feed(head), (entries) =>
      Effect.sync(() => {
        for (const { record } of entries) if (record.kind === "control") facts.push(record.fact)
      }),
    )
  })
  const fiber = Effect.runFork(Effect.scoped(following))
  await begun
  return { facts, stop: () => Effect.runPromise(Effect.asVoid(Fiber.interrupt(fiber))) }
}

/** Facts of an old term that stand behind the beginning of a newer one (I3); the first fact's own term counts as begun. */
export function lateFacts(facts: readonly Fact[]): readonly Fact[] {
  let term = facts[0]?.term ?? 0
  return facts.filter((fact) => {
    if (fact.type === "termBegan" && fact.term > term) term = fact.term
    return fact.term !== term
  })
}
