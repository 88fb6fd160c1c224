/** A connection over a network that a test plays by hand, with a clock that stands still until it is moved. */
import { Connection, type ConnectionOptions } from "../../gateway/client/connection.ts"
import { manualClock, settle } from "./clock.ts"
import { fakeTransport } from "./fakeTransport.ts"

export const URLS = ["ws://a/v1", "ws://b/v1"]

export function openConnection(more: Partial<ConnectionOptions> = {}) {
  const clock = manualClock()
  const network = fakeTransport()
  const log: string[] = []
  const connection = new Connection(
    {
      urls: URLS,
      token: "fixed",
      transport: network.transport,
      timing: { ...clock, random01: () => 0.999 },
      connectMsMax: 1_000,
      firstMsMax: 0,
      outageMsMax: 10_000,
      delayMsInitial: 100,
      delayMsMax: 1_000,
      idleMs: 5_000,
      ...more,
    },
    {
      up: () => log.push("up"),
      frame: (text) => log.push(`frame ${text}`),
      down: (error) => log.push(`down ${error.code}`),
      ended: (error) => log.push(`ended ${error.code}`),
      probe: () => log.push("probe"),
    },
  )
  return { clock, network, log, connection }
}

/** The same, on its way to the first address. */
export const startConnection = async (more: Partial<ConnectionOptions> = {}) => {
  const opened = openConnection(more)
  opened.connection.start()
  await settle()
  return opened
}
