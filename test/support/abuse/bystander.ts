/** Somebody else at the same door, who only wants to be served while others attack it. */
import { connectRaw, type RawClient } from "../door.ts"
import type { Target } from "./attack.ts"

/** Below what one connection may ask for, for as long as it likes. */
const EVERY_MS = 50

export interface Bystander {
  /** What the calls since the last look took, in milliseconds, and those that failed. Waits for one at least. */
  readonly look: () => Promise<{ readonly callMs: readonly number[]; readonly failures: readonly string[] }>
  readonly stop: () => Promise<void>
}

export async function startBystander(target: Target): Promise<Bystander> {
  const client: RawClient = await connectRaw(target, await target.token("bystander"))
  while ((await client.call("system.info")).result?.info.ready !== true)
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS))
  let callMs: number[] = []
  let failures: string[] = []
  let isOver = false
  const once = async (): Promise<void> => {
    const beganMs = performance.now()
    try {
      const answer = await client.call("system.info")
      if (answer.result?.info.ready === true) callMs.push(performance.now() - beganMs)
      else failures.push(JSON.stringify(answer))
    } catch (error) {
      failures.push(String(error))
      isOver = true
    }
  }
  const running = (async () => {
    while (!isOver) {
      await once()
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS))
    }
  })()
  return {
    look: async () => {
      while (callMs.length === 0 && failures.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
      const seen = { callMs, failures }
      callMs = []
      failures = []
      return seen
    },
    stop: async () => {
      isOver = true
      await running
      client.close()
    },
  }
}
