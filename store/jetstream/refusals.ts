import { type NatsConnection, PermissionViolationError } from "@nats-io/transport-node"
import type { BerthError } from "../../core/errors.ts"
import { refusal } from "./failure.ts"
import type { Wire } from "./wire.ts"

/** What the broker refuses our user, told to whoever waits on such a subject. */
export interface Refusals {
  readonly onRefused: (subjectBegin: string, told: Told) => () => void
}

/** What to say to the user, and what the broker said. */
type Told = (error: BerthError, violation: PermissionViolationError) => void

interface Listener {
  readonly subjectBegin: string
  readonly told: Told
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
      const violation = status.error
      const error = refusal("asking the broker", violation)
      for (const { subjectBegin, told } of [...listeners])
        if (violation.subject.startsWith(subjectBegin)) told(error, violation)
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
