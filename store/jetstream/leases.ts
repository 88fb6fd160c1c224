import { Effect } from "effect"
import { berthError, type BerthError } from "../../core/errors.ts"
import type { Lease, Leases } from "../../core/ports/leases.ts"
import { decodePayload, encodePayload } from "../shared/payload.ts"
import { type Cell, makeCells } from "./cells.ts"
import { storeError } from "./failure.ts"
import type { Link } from "./link.ts"
import type { Names } from "./token.ts"

interface Stored {
  readonly holder: string
  readonly data: unknown
  readonly revoked: boolean
}

const leaseOf = ({ key, revision, value }: Cell): Lease => ({ name: key, revision, ...(value as Stored) })

/** Leases in a KV bucket without a time to live: only a compare-and-set ends one. */
export function makeLeases(link: Link, names: Names, mayPurge: boolean): Leases["Service"] {
  const cells = makeCells(link, names.leaseBucket, mayPurge)

  const put = (name: string, stored: Stored, expected: number): Effect.Effect<Lease, BerthError> =>
    Effect.gen(function* () {
      const bytes = yield* Effect.try({ try: () => encodePayload(stored), catch: storeError(`storing lease ${name}`) })
      const revision = yield* cells.write(name, bytes, expected)
      return leaseOf({ key: name, revision, value: decodePayload(bytes) })
    })
  return {
    acquire: (name, holder, data) =>
      Effect.flatMap(cells.read(name), (cell) => {
        const held = cell === null || cell.value === null ? null : leaseOf(cell)
        return held === null || held.revoked
          ? put(name, { holder, data, revoked: false }, cell?.revision ?? 0)
          : Effect.fail(berthError("VERSION_CONFLICT", `lease ${name} is held by ${held.holder}`))
      }),
    renew: ({ name, holder, revision, revoked }, data) =>
      revoked
        ? Effect.fail(berthError("VERSION_CONFLICT", `lease ${name} was revoked`))
        : put(name, { holder, data, revoked: false }, revision),
    revoke: ({ name, holder, data, revision }) => put(name, { holder, data, revoked: true }, revision),
    release: ({ name, revision }) => cells.remove(name, revision),
    read: (name) =>
      Effect.map(cells.read(name), (cell) => (cell === null || cell.value === null ? null : leaseOf(cell))),
    list: (prefix) => Effect.map(cells.list(prefix), (found) => found.map(leaseOf)),
  }
}
