import { readFileSync } from "node:fs"

/** The package's version; dist/gateway/main lies three folders below it, gateway/main two. */
export const VERSION: string = (() => {
  for (const above of ["../../../package.json", "../../package.json"]) {
    try {
      const found = JSON.parse(readFileSync(new URL(above, import.meta.url), "utf8")) as {
        name?: string
        version?: string
      }
      if (found.name === "berth" && found.version !== undefined) return found.version
    } catch {
      // The other place has it.
    }
  }
  return "0.0.0"
})()
