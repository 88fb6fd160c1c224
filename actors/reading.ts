/** How far a node's read model is, and whether the node can be believed about what it reads. */
import { Effect } from "effect"
import type { BerthError } from "../core/errors.ts"
import type { Seq } from "../core/record.ts"
import type { NodePorts } from "./roles/parts.ts"

export interface Reading {
  /** Everything up to here is in the read model, or has been removed from the log again. */
  readonly reached: Effect.Effect<Seq, BerthError>
  /** The log's head, as new as this node knows it without asking anybody far away. */
  readonly head: Effect.Effect<Seq, BerthError>
  /** Waits until everything is read that the log has at this moment. */
  readonly caughtUp: Effect.Effect<void, BerthError>
  /** Why this node cannot answer as it should; null: it can. */
  readonly trouble: () => string | null
  /** Nothing of what the log has is read any more: others know better what is there. */
  readonly isStuck: () => boolean
  /** Who began the newest term, as far as this node has read; null: nobody is known to lead. */
  readonly leaderNode: () => string | null
}

/** Where log and read model are one database: an append is in both when it returns. */
export const readingBesideLog = ({ log, readModel }: Pick<NodePorts, "log" | "readModel">): Reading => ({
  reached: readModel.checkpoint,
  head: log.head,
  caughtUp: Effect.void,
  trouble: () => null,
  isStuck: () => false,
  leaderNode: () => null,
})

/** What `reading` promises, as the read model's checkpoint: for readers that wait for what they have written. */
export const withReached = (readModel: NodePorts["readModel"], reading: Reading): NodePorts["readModel"] => ({
  ...readModel,
  checkpoint: Effect.suspend(() => reading.reached),
})
