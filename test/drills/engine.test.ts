import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { BerthClient } from "../../gateway/client/index.ts"
import type { FoundEngine } from "../../gateway/provision/engine.ts"
import { drained, emptied } from "../support/crashRounds.ts"
import { removeContainersOf, startWitness, type Witness } from "../support/engineWitness.ts"
import { type FaultyEngine, openFaultyEngine } from "../support/faultyEngine.ts"
import { runtimeImage } from "../support/images.ts"
import { copyImage, type PrivateEngine, startPrivateEngine } from "../support/privateEngine.ts"
import { describeAsDebianRoot, describeWithDocker } from "../support/require.ts"
import { clientOf, startServer } from "../support/serverProcess.ts"
import { faultsOf, tellStories } from "../support/story.ts"
import { Book, brief, counting } from "../support/workload.ts"

interface Outage {
  readonly dataDir: string
  readonly engine: FoundEngine
  /** As the server is told to reach it. */
  readonly host: string
  readonly witness: Witness
  /** Programs that run through the outage: lines, one every `everyMs`. */
  readonly counting: { readonly programs: number; readonly lines: number; readonly everyMs: number }
  /** Takes the engine away and brings it back. */
  readonly happen: (told: { readonly client: BerthClient; readonly isOpen: () => Promise<void> }) => Promise<void>
  /** True where the engine itself ends what runs: those programs have to be run again. */
  readonly endsPrograms?: boolean
}

const EXTRA = 4

/** What `system.info` says of the engine. */
const toldOf = async (client: BerthClient): Promise<{ readonly accepting: boolean; readonly breaker: string }> => {
  const { backends, executors } = await client.system()
  const breaker = backends.find(({ backend }) => backend === "docker")?.state ?? "unknown"
  return { accepting: executors.find(({ name }) => name === "docker")?.accepting ?? false, breaker }
}

/** What an outage must never do: fail a task, use up an attempt, or leave anything behind. */
async function live(outage: Outage): Promise<void> {
  const { dataDir, engine, host, witness } = outage
  const { everyMs, lines, programs } = outage.counting
  const server = await startServer({ dataDir, engine: host, slots: programs + 1 })
  const client = await clientOf(server.at)
  const { clusterId } = await client.system()
  const changes: string[] = []
  const telling = (async () => {
    for await (const event of client.events())
      if (event.type === "backend" && event.backend === "docker") changes.push(event.to)
  })().catch(() => undefined)
  const isOpen = async (): Promise<void> => {
    while ((await toldOf(client)).breaker !== "open") await sleep(50)
    expect((await toldOf(client)).accepting).toBe(false)
  }
  try {
    const book = new Book(client)
    const running = await Promise.all(Array.from({ length: programs }, () => book.order(counting(lines, everyMs))))
    for (const id of running) for await (const event of client.watch(id)) if (event.type === "output") break
    const waiting = Array.from({ length: EXTRA }, (_, index) => book.order(brief(`waiting-${index}`)))
    await outage.happen({ client, isOpen })
    await Promise.all(waiting)
    await drained(client)
    const stories = await tellStories(client, book.accepted)
    const faults = stories.flatMap((story) => faultsOf(story, witness.starts(clusterId), outage.endsPrograms))
    expect(faults).toEqual([])
    expect(await toldOf(client)).toEqual({ accepting: true, breaker: "closed" })
    expect([changes[0], changes.at(-1)]).toEqual(["open", "closed"])
    expect(await emptied(engine, clusterId)).toEqual([])
  } catch (error) {
    process.stdout.write(server.log().split("\n").slice(-40).join("\n"))
    throw error
  } finally {
    await client.close()
    await telling
    await server.end("SIGTERM")
    await removeContainersOf(engine, clusterId)
  }
}

describeAsDebianRoot("an engine of its own", () => {
  describeWithDocker("that is taken away", (machine) => {
    describe.each([
      ["keeps containers while it is away", true],
      ["ends them when it comes back", false],
    ] as const)("and %s", (_, keepsContainers) => {
      let folder = ""
      let own: PrivateEngine | null = null
      let witness: Witness | null = null

      beforeAll(async () => {
        folder = mkdtempSync(join(tmpdir(), "berth-engine-"))
        own = await startPrivateEngine(folder, keepsContainers)
        await copyImage(machine.address, own.engine.address, await runtimeImage(machine, "bash"))
        witness = await startWitness(own.engine, join(folder, "events"))
      })
      afterAll(async () => {
        await witness?.stop()
        await own?.close()
        rmSync(folder, { recursive: true, force: true })
      })

      it("does kill -9 and a restart of the engine fail no task and leave nothing?", async () => {
        const { engine, kill, start } = own!
        await live({
          dataDir: join(folder, "killed"),
          engine,
          host: engine.host,
          witness: witness!,
          counting: { programs: 3, lines: 60, everyMs: 200 },
          endsPrograms: !keepsContainers,
          happen: async ({ isOpen }) => {
            await kill()
            await isOpen()
            await start()
          },
        })
      })

      if (keepsContainers)
        it("does an engine that stands still for 20 s fail no task and leave nothing?", async () => {
          const { engine, signal } = own!
          await live({
            dataDir: join(folder, "stopped"),
            engine,
            host: engine.host,
            witness: witness!,
            counting: { programs: 3, lines: 140, everyMs: 200 },
            happen: async ({ isOpen }) => {
              signal("SIGSTOP")
              try {
                await Promise.all([sleep(20_000), isOpen()])
              } finally {
                signal("SIGCONT")
              }
            },
          })
        })
    })
  })
})

describeWithDocker("an engine that", (engine) => {
  let folder = ""
  let witness: Witness | null = null
  let faulty: FaultyEngine | null = null

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "berth-faulty-"))
    witness = await startWitness(engine, join(folder, "events"))
    faulty = await openFaultyEngine(engine, join(folder, "docker.sock"))
  })
  afterAll(async () => {
    await witness?.stop()
    await faulty?.close()
    rmSync(folder, { recursive: true, force: true })
  })

  const during = (name: string, happen: Outage["happen"]): Promise<void> =>
    live({
      dataDir: join(folder, name),
      engine,
      host: faulty!.host,
      witness: witness!,
      counting: { programs: 2, lines: 40, everyMs: 150 },
      happen,
    })

  it.each(["error500", "hangs", "dead"] as const)(
    "is %s for a while: no task fails, no attempt is used up, and all goes on by itself",
    async (mood) => {
      await during(mood, async ({ client, isOpen }) => {
        await faulty!.setMood(mood)
        await isOpen()
        // What is asked for during the outage is accepted and waits.
        const { id } = await client.submit({ runtime: "bash", code: "true" })
        await sleep(2_000)
        expect(await client.get(id)).toMatchObject({
          status: "pending",
          attempt: 1,
          waitingFor: "backend_unavailable",
        })
        await client.cancel(id)
        await faulty!.setMood("well")
      })
    },
  )

  it("dies just after it started a container: no task fails, no attempt is used up, and all goes on by itself", async () => {
    await during("starting", async ({ client, isOpen }) => {
      const died = faulty!.dieAfterStart()
      const { id } = await client.submit({ runtime: "bash", code: "echo once" })
      await died
      await isOpen()
      await faulty!.setMood("well")
      expect(await client.task(id).result()).toMatchObject({ status: "completed", attempt: 1 })
    })
  })
})
