import { Effect, Layer } from "effect"
import { berthError } from "../../core/errors.ts"
import { type Lease, Leases } from "../../core/ports/leases.ts"
import { decodePayload, encodePayload } from "../shared/payload.ts"
import { step } from "./log.ts"

/** Leases in memory. Enough for one process: its data directory's lock keeps every other process out. */
export function makeMemoryLeases(): Leases["Service"] {
  const leases = new Map<string, Lease>()
  // One counter for all names, so that a lease made anew never repeats a revision of the one before.
  let revision = 0

  const put = (lease: Omit<Lease, "revision">): Lease => {
    const stored = { ...lease, data: decodePayload(encodePayload(lease.data)), revision: ++revision }
    leases.set(lease.name, stored)
    return stored
  }
  const current = ({ name, revision: expected }: Lease): Lease => {
    const lease = leases.get(name)
    if (lease?.revision === expected) return lease
    throw berthError("VERSION_CONFLICT", `lease ${name} is at ${lease?.revision ?? "nothing"}, not at ${expected}`)
  }
  return {
    acquire: (name, holder, data) =>
      step(() => {
        const lease = leases.get(name)
        if (lease === undefined || lease.revoked) return put({ name, holder, data, revoked: false })
        throw berthError("VERSION_CONFLICT", `lease ${name} is held by ${lease.holder}`)
      }),
    renew: (lease, data) =>
      step(() => {
        if (current(lease).revoked) throw berthError("VERSION_CONFLICT", `lease ${lease.name} was revoked`)
        return put({ ...current(lease), data })
      }),
    revoke: (lease) => step(() => put({ ...current(lease), revoked: true })),
    release: (lease) =>
      step(() => {
        leases.delete(current(lease).name)
      }),
    read: (name) => Effect.sync(() => leases.get(name) ?? null),
    list: (prefix) => Effect.sync(() => [...leases.values()].filter((lease) => lease.name.startsWith(prefix))),
  }
}

/** @public */
export const memoryLeases: Layer.Layer<Leases> = Layer.sync(Leases, makeMemoryLeases)
