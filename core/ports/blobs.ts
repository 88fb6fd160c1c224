import { Context, type Effect } from "effect"
import type { BerthError } from "../errors.ts"

/**
 * Large values, keyed by task and epoch (`<task>/<epoch>/<name>`). Guarantees, each a test in test/contract/blobs.contract.ts:
 *
 *   BL1. `put` is durable before it returns, and all or nothing: a reader sees the old value, the new one, or none.
 *   BL2. `get` returns exactly the bytes that were put, null for an unknown key, STORE_CORRUPT for damaged ones.
 *   BL3. `put` beyond `bytesMax` fails with TOO_LARGE and stores nothing.
 *   BL4. `removePrefix` removes every key below a prefix; nothing else.
 *   BL5. A full store refuses with STORAGE_FULL and keeps what it has.
 *   BL6. Keys are `/`-separated names of `[A-Za-z0-9._-]`, no `.` or `..` alone; others fail with INVALID_PARAMS.
 */
export class Blobs extends Context.Service<
  Blobs,
  {
    readonly put: (key: string, bytes: Uint8Array) => Effect.Effect<void, BerthError>
    readonly get: (key: string) => Effect.Effect<Uint8Array | null, BerthError>
    readonly removePrefix: (prefix: string) => Effect.Effect<void, BerthError>
    readonly list: (prefix: string) => Effect.Effect<readonly string[], BerthError>
    readonly bytesMax: number
  }
>()("core/ports/Blobs") {}
