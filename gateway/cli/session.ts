/** Which server a command talks to, and how it gets there. */
import { berthError } from "../../core/errors.ts"
import type { BerthClient } from "../client/publicTypes.ts"
import type { CliHost, EmbeddedOptions } from "./host.ts"
import { parseWhole, usageError } from "./quantities.ts"

export interface ServerFlags {
  readonly url?: string
  readonly token?: string
  readonly data?: string
}

/** For the server that `run` is when there is none. */
export interface EmbedFlags {
  readonly executor?: string
  readonly slots?: string
  readonly secretsKeyFile?: string
}

export interface Session {
  readonly client: BerthClient
  /** Set when the server lives inside this command. */
  readonly embedded: { readonly dataDir: string } | null
  readonly close: () => Promise<void>
}

/** Most slots that one worker may be given. */
const SLOTS_MAX = 1_000

/** Connects to the server that the flags or the environment name, or to the live one of the data directory. */
export async function openSession(flags: ServerFlags, host: CliHost): Promise<Session> {
  const session = await findServer(flags, host)
  if (session !== null) return session
  throw berthError("CONNECTION_LOST", "no server uses this data directory", {
    hint: "Start one with `berth serve`, or name one with --url and --token.",
  })
}

/** The same, but where there is no server this command is one, for as long as it runs. */
export async function openSessionOrEmbed(flags: ServerFlags & EmbedFlags, host: CliHost): Promise<Session> {
  const options = embeddedOptions(flags)
  const session = await findServer(flags, host)
  if (session !== null) return session
  const { client, dataDir, close } = await host.openEmbedded(options)
  return { client, embedded: { dataDir }, close }
}

export const embeddedOptions = (flags: ServerFlags & EmbedFlags): EmbeddedOptions => ({
  dataDir: flags.data,
  executor: flags.executor,
  secretsKeyFile: flags.secretsKeyFile,
  slots: flags.slots === undefined ? undefined : parseWhole("--slots", flags.slots, 0, SLOTS_MAX),
})

async function findServer(flags: ServerFlags, host: CliHost): Promise<Session | null> {
  const url = flags.url ?? host.env.BERTH_URL
  const token = flags.token ?? host.env.BERTH_TOKEN
  if (url !== undefined) {
    if (token === undefined) throw usageError("--url", "needs a token: --token, or the variable BERTH_TOKEN")
    return connected(await host.connect(url, { token }))
  }
  const found = await host.locate(flags.data)
  return found === null ? null : connected(await host.connect(found.url, { token: token ?? found.token }))
}

const connected = (client: BerthClient): Session => ({ client, embedded: null, close: () => client.close() })
