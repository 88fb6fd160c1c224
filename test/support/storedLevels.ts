/** The levels that the records of a cluster's log are written at, as the broker has them: whoever reads them need not understand them. */
import { jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"

export interface StoredLevel {
  readonly seq: number
  readonly subject: string
  /** The first byte of the frame. */
  readonly level: number
  /** The record that raised the level. */
  readonly raises: boolean
}

/** All that the log of the cluster `main` has after a sequence. */
export async function storedLevels(url: string, afterSeq = 0): Promise<readonly StoredLevel[]> {
  const connection = await connect({ servers: url })
  try {
    const { streams } = await jetstreamManager(connection)
    const { state } = await streams.info("BERTH_main_LOG")
    const found: StoredLevel[] = []
    for (let seq = Math.max(afterSeq + 1, state.first_seq); seq <= state.last_seq; seq += 1) {
      const message = await streams.getMessage("BERTH_main_LOG", { seq })
      if (message === null) continue
      const text = Buffer.from(message.data).toString("latin1")
      const raises = message.subject.endsWith(".control") && text.includes('"type":"levelRaised"')
      found.push({ seq, subject: message.subject, level: message.data[0] ?? 0, raises })
    }
    return found
  } finally {
    await connection.close()
  }
}
