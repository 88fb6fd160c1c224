import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, expect, it } from "vitest"
import { FAILPOINTS, type Failpoint } from "../../core/ports/failpoints.ts"
import type { FoundEngine } from "../../gateway/provision/engine.ts"
import { drained, emptied } from "../support/crashRounds.ts"
import { removeContainersOf, startWitness, type Witness } from "../support/engineWitness.ts"
import { describeWithDocker } from "../support/require.ts"
import { chosenSeed, seeded } from "../support/seeded.ts"
import { clientOf, launchServer, type ServerProcess, startServer } from "../support/serverProcess.ts"
import { faultsOf, tellStories } from "../support/story.ts"
import { Book, brief, counting, failing, keeping } from "../support/workload.ts"

/** How a server is brought to a failpoint, and at which pass it crashes there. */
interface Scene {
  readonly passes: { readonly min: number; readonly max: number }
  /**
   * `work`: tasks of every kind. `adopt`: programs that a killed predecessor left running.
   * `retry`, `delete`: what a person asks of a task at rest.
   */
  readonly by: "work" | "adopt" | "retry" | "delete"
}

const once = { min: 1, max: 1 }
const some = { min: 1, max: 3 }

/** Every failpoint there is: the compiler refuses a name that is missing here. */
const SCENES: { readonly [N in Failpoint]: Scene } = {
  "submit.beforeAppend": { by: "work", passes: some },
  "submit.afterAppend": { by: "work", passes: some },
  "admit.beforeAppend": { by: "work", passes: once },
  "admit.afterAppend": { by: "work", passes: once },
  "admit.afterPublish": { by: "work", passes: once },
  "start.beforeAppend": { by: "work", passes: some },
  "start.afterAppend": { by: "work", passes: some },
  "start.afterAck": { by: "work", passes: some },
  "create.afterContainer": { by: "work", passes: some },
  "place.afterAppend": { by: "work", passes: some },
  "feed.during": { by: "work", passes: some },
  "run.afterBegin": { by: "work", passes: some },
  "output.afterAppend": { by: "work", passes: some },
  "run.afterExit": { by: "work", passes: some },
  "collect.afterArtifacts": { by: "work", passes: once },
  "end.beforeAppend": { by: "work", passes: some },
  "end.afterAppend": { by: "work", passes: some },
  "remove.beforeContainer": { by: "work", passes: some },
  "retry.beforeAppend": { by: "retry", passes: once },
  "adopt.beforeAppend": { by: "adopt", passes: { min: 1, max: 2 } },
  "adopt.afterAppend": { by: "adopt", passes: { min: 1, max: 2 } },
  "retention.afterPurge": { by: "delete", passes: once },
  "retention.afterEntomb": { by: "delete", passes: once },
  "store.beforeCommit": { by: "work", passes: { min: 3, max: 12 } },
  "store.afterCommit": { by: "work", passes: { min: 3, max: 12 } },
}

/** A server that has not come to its failpoint by then never will. */
const CRASH_MS_MAX = 60_000

interface Stage {
  readonly engine: FoundEngine
  readonly witness: Witness
  readonly dataDir: string
  readonly armed: string
}

/** A server that crashes at the failpoint, its successor, and what the two made of the work. */
async function crashAt({ by }: Scene, stage: Stage): Promise<void> {
  const { armed, dataDir, engine, witness } = stage
  const host = { dataDir, engine: engine.host }
  const arming = { env: { BERTH_FAILPOINT: armed } }
  const first = await startServer({ ...host, ...(by === "work" ? arming : {}) })
  const port = Number(new URL(first.at.url).port)
  const client = await clientOf(first.at)
  const { clusterId } = await client.system()
  const book = new Book(client)
  let last: ServerProcess = first
  const crash = async (doomed: ServerProcess): Promise<void> => {
    last = doomed
    const ended = await Promise.race([doomed.ended, sleep(CRASH_MS_MAX, null, { ref: false })])
    expect(ended?.signal, `${armed}: the server did not crash there`).toBe("SIGKILL")
  }
  const succeed = async (): Promise<void> => {
    last = await startServer({ ...host, port })
  }
  /** A server in which only what is asked next can reach the failpoint, and the one after it. */
  const armAndAsk = async (ask: () => Promise<unknown>): Promise<void> => {
    await last.end("SIGTERM")
    const doomed = await startServer({ ...host, ...arming, port })
    const asked = ask()
    await crash(doomed)
    await succeed()
    await asked
  }
  try {
    const orders =
      by === "work"
        ? [brief("one"), keeping("two"), failing("three", 2, 100), brief("four", 500)]
        : [counting(by === "adopt" ? 40 : 3, 200), failing("three", 1, 100), counting(by === "adopt" ? 40 : 3, 200)]
    const ordered = Promise.all(orders.map((order) => book.order(order)))
    if (by === "work") {
      await crash(first)
      await succeed()
    }
    const ids = await ordered
    if (by === "adopt") {
      for (const id of [ids[0], ids[2]]) for await (const event of client.watch(id!)) if (event.type === "output") break
      await first.end("SIGKILL")
      await crash(launchServer({ ...host, ...arming, port }))
      await succeed()
    }
    await drained(client)
    const failed = ids[1] as string
    // A retry that was not answered is not sent again by itself: whoever asked looks, and asks again.
    if (by === "retry") {
      await armAndAsk(() => client.retry(failed).catch(() => null))
      if ((await client.get(failed)).maxAttempts === 1) await client.retry(failed)
      book.expect(failed, { attempts: 2 })
      await drained(client)
    }
    if (by === "delete") {
      await armAndAsk(() => client.delete(failed).catch(() => null))
      await client.delete(failed).catch((error: { readonly code: string }) => expect(error.code).toBe("NOT_FOUND"))
      await expect(client.watch(failed).next()).rejects.toMatchObject({ code: "NOT_FOUND" })
      book.forget(failed)
    }
    const stories = await tellStories(client, book.accepted)
    const starts = witness.starts(clusterId)
    expect(stories.flatMap((story) => faultsOf(story, starts))).toEqual([])
    const { byStatus } = await client.queue()
    expect(byStatus.completed + byStatus.failed).toBe(book.accepted.length)
    expect(await emptied(engine, clusterId)).toEqual([])
    expect(await client.system()).toMatchObject({ slotDrift: 0 })
  } finally {
    await client.close()
    await last.end("SIGTERM")
    await removeContainersOf(engine, clusterId)
  }
}

describeWithDocker("a crash at every failpoint", (engine) => {
  let folder = ""
  const random = seeded(chosenSeed())
  let witness: Witness | null = null

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "berth-failpoints-"))
    process.stdout.write(`failpoints drill, seed ${random.seed}\n`)
    witness = await startWitness(engine, join(folder, "events"))
  })
  afterAll(async () => {
    await witness?.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  it.concurrent.each(FAILPOINTS.map((name) => [name, SCENES[name]] as const))(
    "%s: does every accepted task end once per attempt, and is nothing left?",
    { timeout: 240_000 },
    async (name, scene) => {
      const armed = `${name}:${random.whole(scene.passes.min, scene.passes.max)}`
      await crashAt(scene, { engine, witness: witness!, dataDir: join(folder, name), armed })
    },
  )
})
