/** The client for Node: `import { connect } from "berth/client"`. */
import { BerthClient } from "./client.ts"
import { nodeTransport } from "./nodeTransport.ts"
import type { ConnectOptions } from "./options.ts"

/**
 * Connects to a server, or to one of several.
 *
 * @param urls - such as `ws://127.0.0.1:7411`; of several, the next one is tried when one is lost
 * @returns a client whose connection is open; rejects with UNAUTHORIZED, FORBIDDEN or CONNECTION_LOST
 */
export const connect = (urls: string | readonly string[], options: ConnectOptions): Promise<BerthClient> =>
  BerthClient.open({ ...options, urls: typeof urls === "string" ? [urls] : urls, transport: nodeTransport })

export * from "./publicTypes.ts"
