/** The door's limits as numbers that a test, or a host that embeds a server, may set lower or higher. */
import { DOOR } from "../protocol/limits.ts"

export type DoorLimits = { readonly [K in keyof typeof DOOR]: number }

/** The protocol's limits, with some replaced. */
export const doorLimits = (replaced: Partial<DoorLimits> = {}): DoorLimits => ({ ...DOOR, ...replaced })

/**
 * For a client in the same process: it is trusted with its own pace, and nothing lies between that could be flooded.
 * What a message may hold stays bounded like everybody's.
 */
export const LOOPBACK_LIMITS: Partial<DoorLimits> = {
  messagesPerSecond: 1_000_000,
  messagesBurst: 1_000_000,
  inFlightMax: 10_000,
  subscriptionsMax: 10_000,
}
