import { berthError } from "../../core/errors.ts"

const CLUSTER = /^[A-Za-z0-9_-]{1,32}$/
const PLAIN = /[A-Za-z0-9_-]/
const TOKEN_CHARS_MAX = 512
/** A part of a name without a letter in it; `toToken` makes no such token. */
const EMPTY = "="

/**
 * Any name as one token of a subject, reversible: what a token may not hold is written as `=` and its UTF-16 code in hex.
 * Throws BerthError INVALID_PARAMS for a name that is empty or too long.
 */
export function toToken(name: string): string {
  let token = ""
  for (let at = 0; at < name.length; at++) {
    const char = name.charAt(at)
    token += PLAIN.test(char) ? char : `=${name.charCodeAt(at).toString(16).padStart(4, "0")}`
  }
  if (token !== "" && token.length <= TOKEN_CHARS_MAX) return token
  throw berthError("INVALID_PARAMS", `"${name.slice(0, 40)}" is empty or too long for a name in the broker`)
}

export const fromToken = (token: string): string =>
  token.replace(/=([0-9a-f]{4})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))

/** A name whose dots stay: each part between them is a token. */
export const toTokens = (name: string): string =>
  name
    .split(".")
    .map((part) => (part === "" && name !== "" ? EMPTY : toToken(part)))
    .join(".")

export const fromTokens = (tokens: string): string =>
  tokens
    .split(".")
    .map((token) => (token === EMPTY ? "" : fromToken(token)))
    .join(".")

/** Where everything of one cluster is. Two clusters may share a broker: nothing of one begins like anything of the other. */
export interface Names {
  readonly logStream: string
  readonly queueStream: string
  readonly blobStream: string
  readonly leaseBucket: string
  readonly workerBucket: string
  readonly secretBucket: string
  /** What all subjects of the cluster begin with, its final dot included. */
  readonly prefix: string
}

/** What the log's subjects begin with. */
export const logPrefix = ({ prefix }: Names): string => `${prefix}log.`

/** Throws BerthError CONFIG_INVALID for a cluster that is no plain name. */
export function namesOf(cluster: string): Names {
  if (!CLUSTER.test(cluster))
    throw berthError("CONFIG_INVALID", "a cluster's name is 1 to 32 of [A-Za-z0-9_-]", { path: "cluster" })
  return {
    logStream: `BERTH_${cluster}_LOG`,
    queueStream: `BERTH_${cluster}_QUEUE`,
    blobStream: `BERTH_${cluster}_BLOBS`,
    leaseBucket: `BERTH_${cluster}_LEASES`,
    workerBucket: `BERTH_${cluster}_WORKERS`,
    secretBucket: `BERTH_${cluster}_SECRETS`,
    prefix: `berth.${cluster}.`,
  }
}
