import { homedir } from "node:os"
import { isAbsolute, join, resolve } from "node:path"

/** Where a server keeps everything, unless it is told otherwise: `BERTH_DATA`, else `.berth` in the home directory. */
export function dataDirOf(
  given: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): string {
  const chosen = given ?? environment.BERTH_DATA ?? join(homedir(), ".berth")
  return isAbsolute(chosen) ? chosen : resolve(chosen)
}
