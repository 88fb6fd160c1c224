import { mkdtemp, readdir, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type HandlerContext, handlerExecutor } from "../../actors/executor/handler/index.ts"
import { processExecutor } from "../../actors/executor/process/index.ts"
import { liveClock } from "../support/clock.ts"
import { hostPath } from "../support/processRig.ts"
import { noSecrets } from "../support/secrets.ts"
import { shellProgramOf } from "../support/contractPrograms.ts"
import { type Behaviour, executorContract } from "./executor.contract.ts"

executorContract({
  name: "process",
  outlives: true,
  programOf: shellProgramOf,
  open: async () => {
    const root = await mkdtemp(join(tmpdir(), "berth-contract-"))
    const options = { root, path: hostPath, hostId: "h", cluster: "c", clock: liveClock, secrets: noSecrets }
    return {
      executor: processExecutor(options),
      successor: processExecutor(options),
      left: async () => (await readdir(root)).length,
      close: () => rm(root, { recursive: true, force: true }),
    }
  },
})

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }))

const handlers: Readonly<Record<Behaviour, (input: unknown, context: HandlerContext) => unknown>> = {
  quick: (_input, { log }) => log("out"),
  file: () => null,
  lines: async (_input, { log, signal }) => {
    for (let line = 0; line < 50 && !signal.aborted; line++) {
      log(`line ${line}`)
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
  },
  polite: async (_input, { log, signal }) => {
    log("ready")
    await aborted(signal)
    log("bye")
  },
  deaf: (_input, { log }) => {
    log("ready")
    return new Promise(() => undefined)
  },
}

executorContract({
  name: "handler",
  outlives: false,
  programOf: (handler) => ({ kind: "handler", handler, input: null }),
  open: async () => ({
    executor: handlerExecutor({ handlers, clock: liveClock }),
    successor: handlerExecutor({ handlers, clock: liveClock }),
    left: async () => 0,
    close: async () => undefined,
  }),
})
