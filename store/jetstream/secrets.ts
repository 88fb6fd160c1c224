/**
 * Secrets in a KV bucket, sealed before they leave this process: the broker's operator and its disks see none of them.
 * Every node is given the same keys; there is no place in a cluster to keep one.
 */
import { createHash } from "node:crypto"
import { Effect } from "effect"
import { asBerthError, type BerthError, berthError } from "../../core/errors.ts"
import type { Secrets } from "../../core/ports/secrets.ts"
import { Keyring } from "../shared/keyring.ts"
import { encodePayload } from "../shared/payload.ts"
import { type SealedStore, sealedSecrets } from "../shared/sealedSecrets.ts"
import { type Cell, type Cells, makeCells } from "./cells.ts"
import type { Link } from "./link.ts"
import type { Names } from "./token.ts"

interface Stored {
  readonly owner: string
  readonly name: string
  readonly sealed: Uint8Array
}

/** An owner may be any text, a key may not. A cell says itself whose it is. */
const prefixOf = (owner: string): string => `${createHash("sha256").update(owner).digest("hex")}-`
const keyOf = (owner: string, name: string): string => prefixOf(owner) + name
const storedIn = (cell: Cell): Stored => cell.value as Stored

/** @param keys - null: every use fails with CONFIG_INVALID */
export const openSecrets = (
  link: Link,
  names: Names,
  keys: { readonly text: string; readonly source: string } | null,
  mayPurge: boolean,
): Effect.Effect<Secrets["Service"], BerthError> =>
  Effect.gen(function* () {
    if (keys === null) return keyless
    const ring = yield* Effect.try({ try: () => Keyring.parse(keys.text, keys.source), catch: asBerthError })
    const secrets = sealedSecrets(storeOver(makeCells(link, names.secretBucket, mayPurge)), ring)
    // Whoever manages the cluster does it for all.
    if (mayPurge) yield* secrets.reseal
    return secrets
  })

const noKey = Effect.fail(
  berthError("CONFIG_INVALID", "this cluster was given no key for secrets", {
    path: "BERTH_SECRETS_KEY_FILE",
    hint: "Give every node the same `--secrets-key-file`.",
  }),
)
const keyless: Secrets["Service"] = {
  set: () => noKey,
  remove: () => noKey,
  list: () => noKey,
  resolve: (_, names) => (names.length === 0 ? Effect.succeed({}) : noKey),
  reseal: Effect.succeed(0),
}

const storeOver = (cells: Cells): SealedStore<number> => ({
  read: (owner, name) =>
    Effect.map(cells.read(keyOf(owner, name)), (cell) =>
      cell === null || cell.value === null ? null : storedIn(cell).sealed,
    ),
  write: (owner, name, sealed) =>
    Effect.asVoid(cells.write(keyOf(owner, name), encodePayload({ owner, name, sealed }))),
  remove: (owner, name) =>
    Effect.gen(function* () {
      const cell = yield* cells.read(keyOf(owner, name))
      if (cell === null || cell.value === null) return false
      yield* cells.remove(keyOf(owner, name))
      return true
    }),
  names: (owner) => Effect.map(cells.list(prefixOf(owner)), (found) => found.map((cell) => storedIn(cell).name)),
  all: Effect.map(cells.list(""), (found) => found.map((cell) => ({ ...storedIn(cell), token: cell.revision }))),
  exchange: ({ name, owner, token }, sealed) =>
    cells.write(keyOf(owner, name), encodePayload({ owner, name, sealed }), token).pipe(
      Effect.as(true),
      Effect.catchIf(
        (error) => error.code === "VERSION_CONFLICT",
        () => Effect.succeed(false),
      ),
    ),
})
