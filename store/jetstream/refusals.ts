import { type NatsConnection, PermissionViolationError } from "@nats-io/transport-node"
import type { BerthError } from "../../core/errors.ts"
import { refusal } from "./failure.ts"
import type { Wire } from "./wire.ts"

/** What the broker refuses our user, told to whoever waits on such a subject. */
export interface Refusals {
  readonly onRefused: (subjectBegin: string, told: (error: BerthError) => void) => () => void
}

interface Listener {
  readonly subjectBegin: string
  readonly told: (error: BerthError) => void
}

/** Follows what a connection goes through, until it is closed. */
export function watchConnection(connection: NatsConnection, wire: Wire, notice: (what: string) => void): Refusals {
  const listeners = new Set<Listener>()
  const follow = async (): Promise<void> => {
    for await (const status of connection.status()) {
      if (status.type === "disconnect") {
        wire.turn(false)
        notice(`the broker at ${status.server} is gone`)
      }
      if (status.type === "reconnect") {
        wire.turn(true)
        notice(`connected to the broker at ${status.server} again`)
      }
      if (status.type !== "error") continue
      notice(`the broker says: ${status.error.message}`)
      if (!(status.error instanceof PermissionViolationError)) continue
      const { subject } = status.error
      const error = refusal("asking the broker", status.error)
      for (const { subjectBegin, told } of [...listeners]) if (subject.startsWith(subjectBegin)) told(error)
    }
  }
  // The status ends with the connection and never fails by itself.
  follow().catch(() => {})
  return {
    onRefused: (subjectBegin, told) => {
      const listener = { subjectBegin, told }
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}
