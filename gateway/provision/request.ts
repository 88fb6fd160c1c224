import { RUNTIMES, runtimeByName } from "../../core/runtime/catalogue.ts"
import { DEFAULT_RUNTIMES } from "./images.ts"
import type { NatsSeries } from "./nats.ts"

const NATS_NAMES: ReadonlyMap<string, NatsSeries> = new Map([
  ["nats", "newest"],
  ["nats-2.10", "2.10"],
])
const FLAGS = ["--all", "--no-nats", "--json"]

/** What one run of provisioning is to find or get. */
export interface ProvisionRequest {
  readonly json: boolean
  readonly runtimes: readonly string[]
  readonly nats: readonly NatsSeries[]
  /** Whether a missing one is a failure. */
  readonly strict: { readonly docker: boolean; readonly nats: boolean }
}

/** What BERTH_REQUIRE names. */
export const required = (): readonly string[] =>
  (process.env["BERTH_REQUIRE"] ?? "").split(",").map((name) => name.trim())

/** Understands the command line, or says which word it does not know. */
export const parseRequest = (args: readonly string[], require: readonly string[]): ProvisionRequest | string => {
  const flags = args.filter((arg) => arg.startsWith("--"))
  const names = args.filter((arg) => !arg.startsWith("--"))
  const unknownFlag = flags.find((flag) => !FLAGS.includes(flag))
  if (unknownFlag !== undefined) return `unknown option ${unknownFlag}; there are ${FLAGS.join(", ")}`
  const unknown = names.find((name) => runtimeByName(name) === undefined && !NATS_NAMES.has(name))
  if (unknown !== undefined) {
    const known = [...RUNTIMES.map((runtime) => runtime.name), ...NATS_NAMES.keys()]
    return `unknown name ${unknown}; there are ${known.join(", ")}`
  }
  const named = names.flatMap((name) => runtimeByName(name)?.name ?? [])
  const all = flags.includes("--all")
  const everything = names.length === 0
  const nats = names.flatMap((name) => NATS_NAMES.get(name) ?? [])
  const isNatsRequired = require.includes("nats") && !flags.includes("--no-nats")
  // Both series where none is named: what the tests of a broker ask for.
  const bothSeries = isNatsRequired || (everything && !flags.includes("--no-nats"))
  return {
    json: flags.includes("--json"),
    runtimes: all ? RUNTIMES.map((runtime) => runtime.name) : everything ? DEFAULT_RUNTIMES : named,
    nats: nats.length > 0 || !bothSeries ? nats : ["newest", "2.10"],
    strict: {
      docker: all || named.length > 0 || require.includes("docker"),
      nats: nats.length > 0 || isNatsRequired,
    },
  }
}
