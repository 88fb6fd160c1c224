/** A worker that is told to stop and given time for it: what ends under it, and what does it leave to the next one? */
import { setTimeout as sleep } from "node:timers/promises"
import { expect, it } from "vitest"
import type { TaskHandle } from "../../gateway/client/index.ts"
import { containersOf } from "../support/engineWitness.ts"
import { type LeaseNodes, startLeaseNodes } from "../support/leaseNodes.ts"
import { describeWithDocker, describeWithNats } from "../support/require.ts"
import { adoptionsOf, tellStory } from "../support/story.ts"
import { brief, counting } from "../support/workload.ts"

/** The short program takes much less, the long one much more. */
const DRAIN_MS = 20_000
const SHORT = counting(25, 200)
const LONG = counting(360, 100)
const LOOK_MS = 50

const runs = async (handle: TaskHandle): Promise<void> => {
  while ((await handle.get()).phase !== "running") await sleep(LOOK_MS)
}
/** How often the engine started a container of each task. */
const starts = ({ clusterId, seen }: LeaseNodes, handles: readonly TaskHandle[]): readonly number[] =>
  handles.map(
    ({ id }) =>
      seen().filter(({ action, cluster, name }) => action === "start" && cluster === clusterId && name.includes(id))
        .length,
  )

describeWithNats("a worker that is stopped with time to drain", "newest", (server) =>
  describeWithDocker("on a real engine", (engine) => {
    it("I2 I9 does it start nothing more, end what is short, and leave what is long to its successor, each begun once?", async () => {
      const nodes = await startLeaseNodes(engine, server, { BERTH_DRAIN_MS: String(DRAIN_MS) })
      try {
        const { client, clusterId } = nodes
        const { process: old } = await nodes.startWorker("w1", 4)
        const long = await client.submit(LONG.request)
        await runs(long)
        const short = await client.submit(SHORT.request)
        await runs(short)
        old.signal("SIGTERM")
        const saysSo = async () => (await client.workers.list()).some(({ draining }) => draining)
        while (!(await saysSo())) {
          expect(old.isAlive(), old.log()).toBe(true)
          await sleep(LOOK_MS)
        }
        const next = await client.submit(brief("next").request)

        const shortFirst = short.result().then(({ status }) => status)
        expect(await Promise.race([shortFirst, old.ended]), old.log()).toBe("completed")
        expect(await short.get()).toMatchObject({ epoch: 1, attempt: 1 })
        expect(await old.ended, old.log()).toEqual({ code: 0, signal: null })
        expect(await next.get()).toMatchObject({ status: "pending", waitingFor: "worker" })
        expect(await containersOf(engine, clusterId)).toEqual([{ name: `berth-${long.id}-1`, state: "running" }])

        await nodes.startWorker("w2", 4)
        for (const handle of [long, next]) expect(await handle.result()).toMatchObject({ status: "completed" })
        const story = await tellStory(client, { ...LONG.expected, id: long.id })
        expect(adoptionsOf(story)).toBe(1)
        const printed = story.events.flatMap((event) => (event.type === "output" ? [event.bytes] : []))
        expect(Buffer.concat(printed).toString()).toBe(LONG.expected.stdout)
        expect(starts(nodes, [long, short, next])).toEqual([1, 1, 1])
      } finally {
        await nodes.close()
      }
    })

    it("does it end as soon as nothing runs, however long it may wait, and leave nothing?", async () => {
      const nodes = await startLeaseNodes(engine, server, { BERTH_DRAIN_MS: "3600000" })
      try {
        const { process: worker } = await nodes.startWorker("w1", 4)
        const short = await nodes.client.submit(SHORT.request)
        await runs(short)
        worker.signal("SIGTERM")
        expect(await worker.ended, worker.log()).toEqual({ code: 0, signal: null })
        expect(await containersOf(engine, nodes.clusterId)).toEqual([])
        expect(await short.result()).toMatchObject({ status: "completed" })
        expect(await nodes.client.workers.list()).toEqual([])
        expect(starts(nodes, [short])).toEqual([1])
      } finally {
        await nodes.close()
      }
    })
  }),
)
