/**
 * Secrets in a table of the log's database, through a connection of their own: they have nothing to do with its group commit.
 *
 *   SQ1. Without keys from outside the data directory has a key file, mode 0600, made with the first store and never again
 *        while there are secrets: a new key could open none of them.
 *   SQ2. Whoever opens with the wrong keys is told at once (SE7), not by the first task that asks.
 */
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import { asBerthError, type BerthError } from "../../core/errors.ts"
import type { Secrets } from "../../core/ports/secrets.ts"
import { Keyring, keyMissing } from "../shared/keyring.ts"
import { type SealedStore, sealedSecrets } from "../shared/sealedSecrets.ts"
import { type Connection, openConnection } from "./connection.ts"
import { KEY_FILE, makeKeyFile, readKeyFile } from "./keyFile.ts"
import { DATABASE_FILE, tune } from "./schema.ts"

export interface SqliteSecretsOptions {
  /** Keys from outside and what they are called there; null: the data directory's own key file. */
  readonly keys: { readonly text: string; readonly source: string } | null
}

export interface OpenedSecrets {
  readonly secrets: Secrets["Service"]
  /** How many were still under an earlier key of the ring. */
  readonly resealed: number
}

/** For whoever has the directory's lock. Fails with SECRET_KEY_WRONG, or CONFIG_INVALID for text that is no key. */
export const openSecrets = (
  dataDir: string,
  { keys }: SqliteSecretsOptions,
): Effect.Effect<OpenedSecrets, BerthError, Scope.Scope> =>
  Effect.gen(function* () {
    const on = yield* Effect.acquireRelease(
      openConnection(join(dataDir, DATABASE_FILE), "write"),
      (opened) => opened.close,
    )
    yield* tune(on)
    const store = storeOn(on)
    const text = keys?.text ?? (yield* readKeyFile(dataDir)) ?? (yield* firstKey(dataDir, store))
    const ring = yield* Effect.try({
      try: () => Keyring.parse(text, keys?.source ?? join(dataDir, KEY_FILE)),
      catch: asBerthError,
    })
    const secrets = sealedSecrets(store, ring)
    return { secrets, resealed: yield* secrets.reseal }
  })

const firstKey = (dataDir: string, store: SealedStore<null>): Effect.Effect<string, BerthError> =>
  Effect.flatMap(store.all, (entries) =>
    entries.length === 0
      ? makeKeyFile(dataDir)
      : Effect.fail(keyMissing(`${join(dataDir, KEY_FILE)} is missing: each of ${entries.length} secrets`)),
  )

const storeOn = (on: Connection): SealedStore<null> => ({
  read: (owner, name) =>
    Effect.map(
      on.all("select sealed from secrets where owner = ? and name = ?", owner, name),
      (rows) => (rows[0]?.["sealed"] as Uint8Array | undefined) ?? null,
    ),
  write: (owner, name, sealed) =>
    on.run(
      "insert into secrets values (?, ?, ?) on conflict do update set sealed = excluded.sealed",
      owner,
      name,
      sealed,
    ),
  remove: (owner, name) =>
    Effect.map(
      on.all("delete from secrets where owner = ? and name = ? returning name", owner, name),
      (rows) => rows.length > 0,
    ),
  names: (owner) =>
    Effect.map(on.all("select name from secrets where owner = ?", owner), (rows) =>
      rows.map((row) => String(row["name"])),
    ),
  all: Effect.map(on.all("select owner, name, sealed from secrets"), (rows) =>
    rows.map((row) => ({
      owner: String(row["owner"]),
      name: String(row["name"]),
      sealed: row["sealed"] as Uint8Array,
      token: null,
    })),
  ),
  exchange: ({ name, owner, sealed: before }, sealed) =>
    Effect.map(
      on.all(
        "update secrets set sealed = ? where owner = ? and name = ? and sealed = ? returning name",
        sealed,
        owner,
        name,
        before,
      ),
      (rows) => rows.length > 0,
    ),
})
