/**
 * How a connection to the broker is made: which servers, as whom, and over which wire.
 *
 *   DI1. Files are read again at every connection, so a rotated certificate, seed or token needs no restart.
 *   DI2. Where TLS was asked for, a server without it is refused before a secret is sent.
 *   DI3. The first connection fails with what is wrong; a later one is tried for ever, also while the broker refuses us.
 */
import { readFileSync } from "node:fs"
import {
  type Authenticator,
  ConnectionError,
  credsAuthenticator,
  type NatsConnection,
  nkeyAuthenticator,
  TimeoutError,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
} from "@nats-io/transport-node"
import { berthError, type BerthError } from "../../core/errors.ts"
import { connectCorked } from "./corked.ts"

const CONNECT_MS = 5_000
const RECONNECT_MS = 250
/** A broker that is silent for so long is gone: half-open connections end. */
const PING_MS = 5_000
const PINGS_UNANSWERED_MAX = 2

export interface DialOptions {
  /** `host:port`, `nats://host:port` or `tls://host:port`, one or more of the same cluster of servers; may carry `user:password@`. */
  readonly servers: readonly string[]
  /** One of these four at most. */
  readonly user?: { readonly name: string; readonly password: string }
  readonly token?: string
  /** Path of a file with an nkey seed. */
  readonly nkeyFile?: string
  /** Path of a `.creds` file. */
  readonly credentialsFile?: string
  /** Paths of PEM files. `ca` is who signed the server's certificate; `cert` and `key` are our own, where it asks for one. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string }
  /** What the broker's own tools call this connection. */
  readonly name?: string
}

/** Rejects with BerthError CONFIG_INVALID for options that cannot be meant, else with what the client says. */
export async function dial(options: DialOptions): Promise<NatsConnection> {
  const authenticator = authenticatorOf(options)
  const tls = tlsOf(options)
  const settings = {
    servers: options.servers.map(withoutUser),
    timeout: CONNECT_MS,
    maxReconnectAttempts: -1,
    reconnectTimeWait: RECONNECT_MS,
    ignoreAuthErrorAbort: true,
    pingInterval: PING_MS,
    maxPingOut: PINGS_UNANSWERED_MAX,
    // Otherwise every request makes two errors beforehand, for their stacks; ours tell what was asked.
    noAsyncTraces: true,
    ...(options.name === undefined ? {} : { name: options.name }),
    ...(authenticator === null ? {} : { authenticator }),
    ...(tls === null ? {} : { tls }),
  }
  try {
    return await connectCorked(settings)
  } catch (cause) {
    if (tls === null) throw cause
    throw withoutTls(cause) ?? withoutCertificate(cause, tls) ?? cause
  }
}

/** The client's own refusal, which has no other cause: the server offers no TLS (DI2). */
const withoutTls = (cause: unknown): BerthError | null =>
  cause instanceof ConnectionError && cause.cause === undefined
    ? berthError("CONFIG_INVALID", `connecting to the broker: ${cause.message}`, {
        cause,
        path: "nats.tls",
        hint: "Turn TLS on in nats-server's configuration, or ask for none: no ca, cert and key, and nats:// in the address.",
      })
    : null

/** A server that wants to see a certificate ends the connection without a word that reaches us. */
const withoutCertificate = (cause: unknown, tls: { readonly certFile?: string }): BerthError | null =>
  cause instanceof TimeoutError && tls.certFile === undefined
    ? berthError("STORE_UNAVAILABLE", "connecting to the broker: it did not answer", {
        cause,
        path: "nats.tls",
        hint: "Try again; where the server asks for our certificate (`verify: true`), give cert and key.",
      })
    : null

const invalid = (path: string, message: string, cause?: unknown): BerthError =>
  berthError("CONFIG_INVALID", message, { path, ...(cause === undefined ? {} : { cause }) })

/** A file of the operator's, or CONFIG_INVALID that names the option. */
function bytesOf(path: string, file: string): Uint8Array {
  try {
    return readFileSync(file)
  } catch (cause) {
    throw invalid(
      path,
      `${path}: ${file} cannot be read (${(cause as NodeJS.ErrnoException).code ?? "unknown"})`,
      cause,
    )
  }
}

const urlOf = (server: string): URL => {
  try {
    return new URL(server.includes("://") ? server : `nats://${server}`)
  } catch (cause) {
    throw invalid("nats.servers", "a server is host:port, nats://host:port or tls://host:port", cause)
  }
}
const withoutUser = (server: string): string => urlOf(server).host

/** Host names of the servers, for whoever guesses at their monitoring ports. */
export const hostsOf = (servers: readonly string[]): readonly string[] =>
  servers.map((server) => urlOf(server).hostname)

/** The user that the first address with one names. */
function userOf({ servers, user }: DialOptions): DialOptions["user"] {
  const named = servers.map(urlOf).find((url) => url.username !== "")
  if (user !== undefined || named === undefined) return user
  return { name: decodeURIComponent(named.username), password: decodeURIComponent(named.password) }
}

function authenticatorOf(options: DialOptions): Authenticator | null {
  const { credentialsFile, nkeyFile, token } = options
  const user = userOf(options)
  const given = [user, token, nkeyFile, credentialsFile].filter((each) => each !== undefined)
  if (given.length > 1)
    throw invalid("nats.credentials", "of user, token, nkey file and credentials file only one can be meant")
  if (user !== undefined) return usernamePasswordAuthenticator(user.name, user.password)
  if (token !== undefined) return tokenAuthenticator(token)
  if (nkeyFile !== undefined)
    return tried(
      "nats.nkeyFile",
      nkeyFile,
      nkeyAuthenticator(() => trimmed(bytesOf("nats.nkeyFile", nkeyFile))),
    )
  if (credentialsFile !== undefined)
    return tried(
      "nats.credentialsFile",
      credentialsFile,
      credsAuthenticator(() => bytesOf("nats.credentialsFile", credentialsFile)),
    )
  return null
}

const trimmed = (bytes: Uint8Array): Uint8Array => new TextEncoder().encode(new TextDecoder().decode(bytes).trim())

/** Signs once for nobody: what is no key is found out here, by name. Later a file that is half written signs nothing (DI3). */
function tried(path: string, file: string, authenticator: Authenticator): Authenticator {
  try {
    void authenticator("nonce")
  } catch (cause) {
    if ((cause as BerthError).code === "CONFIG_INVALID") throw cause
    throw invalid(path, `${path}: ${file} does not hold a key`, cause)
  }
  return (nonce) => {
    try {
      return authenticator(nonce)
    } catch {
      return undefined
    }
  }
}

function tlsOf({ servers, tls }: DialOptions): { caFile?: string; certFile?: string; keyFile?: string } | null {
  const isAsked = servers.some((server) => urlOf(server).protocol === "tls:")
  if (tls === undefined) return isAsked ? {} : null
  for (const [name, file] of Object.entries(tls)) bytesOf(`nats.tls.${name}`, file)
  if ((tls.cert === undefined) !== (tls.key === undefined))
    throw invalid("nats.tls", "a certificate needs its key, and a key its certificate")
  return {
    ...(tls.ca === undefined ? {} : { caFile: tls.ca }),
    ...(tls.cert === undefined ? {} : { certFile: tls.cert }),
    ...(tls.key === undefined ? {} : { keyFile: tls.key }),
  }
}
