/** Keys of the secrets that come from outside the data directory. */
import { readFileSync, statSync } from "node:fs"
import { berthError } from "../../core/errors.ts"

export interface SecretsKeys {
  /** One key a line or with commas between: the first seals, all open. */
  readonly text: string
  /** What messages call it. */
  readonly source: string
}

type Environment = Readonly<Record<string, string | undefined>>

/**
 * From a flag's file, else `BERTH_SECRETS_KEY_FILE`, else `BERTH_SECRETS_KEY`; null when none is given.
 *
 * @throws BerthError CONFIG_INVALID for a file that cannot be read, or that everybody can
 */
export function secretsKeysOf(file: string | undefined, environment: Environment): SecretsKeys | null {
  const { BERTH_SECRETS_KEY: text, BERTH_SECRETS_KEY_FILE: named } = environment
  const path = file ?? (named === "" ? undefined : named)
  if (path !== undefined) return fromFile(path, file === undefined ? "BERTH_SECRETS_KEY_FILE" : "--secrets-key-file")
  return text === undefined || text === "" ? null : { text, source: "BERTH_SECRETS_KEY" }
}

function fromFile(path: string, source: string): SecretsKeys {
  let mode: number
  let text: string
  try {
    mode = statSync(path).mode
    text = readFileSync(path, "utf8")
  } catch (cause) {
    throw berthError("CONFIG_INVALID", `${source}: ${path} cannot be read`, { cause, path: source })
  }
  if ((mode & 0o007) === 0) return { text, source: path }
  throw berthError("CONFIG_INVALID", `${source}: everybody can read ${path}`, { path: source, hint: "chmod 600 it." })
}
