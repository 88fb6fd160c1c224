/** What must be true when everything has come to rest, and what was left behind has had its time to be swept. */
import { Effect } from "effect"
import type { BerthNode } from "../../actors/node.ts"
import type { EventLog } from "../../core/ports/eventLog.ts"
import { holdsSlot, type TaskRow } from "../../core/readmodel/row.ts"
import type { Client } from "./client.ts"
import type { Engine } from "./engine.ts"
import { faultsOfWatch } from "./watched.ts"

export interface AtRest {
  readonly client: Client
  readonly engines: readonly Engine[]
  readonly log: EventLog["Service"]
  readonly nodes: readonly BerthNode[]
  readonly rows: readonly TaskRow[]
}

export function faultsAtRest({ client, engines, log, nodes, rows }: AtRest): readonly string[] {
  const faults: string[] = []
  for (const id of client.accepted)
    if (Effect.runSync(log.last(id)) === null) faults.push(`I1: ${id} was accepted, and is gone`)
  const left = engines.flatMap(({ places }) => [...places.keys()])
  if (left.length > 0) faults.push(`left behind: ${left.join()}`)
  if (rows.some(holdsSlot)) faults.push("I6: a slot is held by nobody")
  for (const { heldCount, slotDrift } of nodes) {
    if (slotDrift() !== 0) faults.push(`I6: the leader's fold has drifted by ${slotDrift()}`)
    if (heldCount() !== 0) faults.push(`a worker holds ${heldCount()} tasks that are at rest`)
  }
  const [{ printed }] = engines as [Engine]
  for (const watch of client.watches) faults.push(...faultsOfWatch(watch, log, printed))
  for (const { starts } of engines)
    for (const [id, times] of starts) if (times !== 1) faults.push(`${id} was started ${times} times`)
  return faults
}
