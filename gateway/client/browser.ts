/** The client for browsers: the same class over the platform's WebSocket. */
import { browserTransport } from "./browserTransport.ts"
import { BerthClient } from "./client.ts"
import type { ConnectOptions } from "./options.ts"

/**
 * Connects to a server, or to one of several. The page's origin must be on the server's list.
 *
 * @param urls - such as `wss://berth.example`; of several, the next one is tried when one is lost
 * @returns a client whose connection is open; rejects with CONNECTION_LOST
 */
export const connect = (urls: string | readonly string[], options: ConnectOptions): Promise<BerthClient> =>
  BerthClient.open({ ...options, urls: typeof urls === "string" ? [urls] : urls, transport: browserTransport })

export * from "./publicTypes.ts"
