import type { Principal } from "../../actors/api.ts"
import type { Logger } from "../../core/telemetry.ts"
import { BerthClient } from "../client/client.ts"
import { loopbackTransport } from "../client/loopbackTransport.ts"
import { makeLoopback } from "../server/loopback.ts"
import type { Server } from "./server.ts"

/** The SDK's client over a server in the same process: same interface, same checks, no network. */
export function embeddedClient(
  { clock, node, router }: Server,
  principal: Principal,
  logger: Logger,
): Promise<BerthClient> {
  const loopback = makeLoopback({ router, tasks: node.service, clock, logger, principal })
  return BerthClient.open({
    urls: ["ws://embedded"],
    token: "embedded",
    transport: loopbackTransport(loopback),
    paced: false,
  })
}
