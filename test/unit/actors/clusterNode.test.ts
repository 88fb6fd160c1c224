/** Do nodes of different roles make one system, and does another node lead when one is gone? */
import { Effect, Exit, Scope } from "effect"
import { afterEach, describe, expect, it } from "vitest"
import { handlerExecutor } from "../../../actors/executor/handler/index.ts"
import { type BerthNode, startNode } from "../../../actors/node.ts"
import { type ConfigInput, resolveConfig } from "../../../core/config.ts"
import type { BerthError } from "../../../core/errors.ts"
import { NODE_LEASES, nodeLeaseData, nodeLeaseName } from "../../../core/nodeLease.ts"
import { CONTROL_SUBJECT } from "../../../core/record.ts"
import { RECORD_LEVEL_MAX } from "../../../core/recordLevel.ts"
import { NO_TELEMETRY } from "../../../core/telemetry.ts"
import type { Role } from "../../../core/words.ts"
import { liveClock } from "../../support/clock.ts"
import { makeClusterRig } from "../../support/clusterRig.ts"
import { lastTask, OWNER, runToEnd } from "../../support/embeddedNode.ts"
import { SILENT } from "../../support/silent.ts"
import { until } from "../../support/until.ts"
import { streamOf } from "../../support/watching.ts"

const run = <A>(effect: Effect.Effect<A, BerthError>): Promise<A> => Effect.runPromise(effect)
const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

const cluster = (config: ConfigInput = {}) => {
  const rig = makeClusterRig(liveClock)
  const fatal: string[] = []
  const handler = handlerExecutor({ clock: liveClock, handlers: { echo: (input) => input } })
  const start = async (nodeId: string, ...roles: Role[]) => {
    const scope = Effect.runSync(Scope.make())
    const works = roles.includes("worker")
    const starting = startNode({
      config: resolveConfig({ leaderLeaseMs: 1_000, reconcileMs: 100, ...config }),
      clusterId: "c",
      nodeId,
      version: "0",
      store: "memory",
      roles,
      executors: works ? [handler] : [],
      handlers: works ? ["echo"] : [],
      backends: [],
      executorDetail: () => ({}),
      logger: SILENT,
      telemetry: NO_TELEMETRY,
      onFatal: (reason) => void fatal.push(reason),
    }).pipe(Effect.provide(rig.ports()))
    const node: BerthNode = await Effect.runPromise(Scope.provide(starting, scope))
    const close = () => Effect.runPromise(Scope.close(scope, Exit.void))
    closers.push(async () => {
      await close()
      expect(fatal.splice(0)).toEqual([])
    })
    return { node, close }
  }
  return { fatal, rig, start }
}
const infoOf = (node: BerthNode) => run(node.info)
const isLeading = async (node: BerthNode, wanted = true): Promise<void> => {
  let leads: boolean | null = null
  const look = (): boolean => {
    void infoOf(node).then(({ leader }) => (leads = leader))
    return leads === wanted
  }
  await until(look, "a leader")
}
const isReady = async (node: BerthNode): Promise<void> => {
  let ready = false
  const look = (): boolean => {
    void infoOf(node).then((info) => (ready = info.ready))
    return ready
  }
  await until(look, "a node that is ready")
}
const echo = (input: number) => ({ handler: "echo", input })

describe("nodes of a cluster", () => {
  it("N3 do only what they were asked for, and together bring tasks to their end", async () => {
    const { rig, start } = cluster()
    const gateway = await start("g", "gateway")
    const { task } = await run(gateway.node.service.submit(OWNER, echo(1), "1"))
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(await run(rig.log.lastControl)).toBeNull()
    expect((await infoOf(gateway.node)).roles).toEqual(["gateway"])
    const worker = await start("w", "worker")
    await isReady(worker.node)
    expect(await run(rig.workers.list)).toHaveLength(1)
    expect((await run(gateway.node.service.get(OWNER, task.id, task.seq))).status).toBe("pending")
    const leader = await start("l", "leader")
    await isLeading(leader.node)
    const events = await run(runToEnd(gateway.node, echo(2)))
    expect(lastTask(events)).toMatchObject({ status: "completed", result: { value: 2 } })
    await until(() => worker.node.heldCount() === 0)
    await until(() => leader.node.waitingIn("normal") === 0)
    const first = await run(gateway.node.service.get(OWNER, task.id, lastTask(events).seq))
    expect(first.status).toBe("completed")
    expect(await infoOf(gateway.node)).toMatchObject({ leader: false, leaderNode: "l", ready: true, trouble: null })
    expect(await infoOf(leader.node)).toMatchObject({ leader: true, roles: ["leader"], slotDrift: 0 })
  })

  it("N4 reads follow writes on any gateway, and every gateway tells the same events", async () => {
    const { start } = cluster()
    const [one, two] = [await start("g1", "gateway"), await start("g2", "gateway", "leader", "worker")]
    await isLeading(two.node)
    for (let n = 0; n < 20; n += 1) {
      const { task } = await run(one.node.service.submit(OWNER, echo(n), String(n)))
      expect((await run(two.node.service.get(OWNER, task.id, 0))).id).toBe(task.id)
      expect((await run(two.node.service.get(OWNER, task.id, task.seq))).id).toBe(task.id)
      const listed = await run(two.node.service.list(OWNER, { cursor: null, rowsMax: 100 }, task.seq))
      expect(listed.tasks.map(({ id }) => id)).toContain(task.id)
    }
    const events = await run(runToEnd(one.node, echo(99)))
    const id = lastTask(events).id
    const { Stream } = await import("effect")
    const again = await run(Stream.runCollect(streamOf(two.node.service.watch(OWNER, id, 0))))
    expect(again.map(({ seq }) => seq)).toEqual(events.map(({ seq }) => seq))
  })

  it("another leads when the leader is closed or hands over, and nothing is lost or done twice", async () => {
    const { rig, start } = cluster()
    const gateway = await start("g", "gateway", "worker")
    const leaders = [await start("l1", "leader"), await start("l2", "leader"), await start("l3", "leader")]
    const ended = Array.from({ length: 40 }, (_, n) => run(runToEnd(gateway.node, echo(n))))
    await isLeading(leaders[0]!.node)
    await run(leaders[0]!.node.handOver)
    expect((await infoOf(leaders[0]!.node)).leader).toBe(false)
    ended.push(...Array.from({ length: 20 }, (_, n) => run(runToEnd(gateway.node, echo(n)))))
    const tasks = (await Promise.all(ended)).map((events) => lastTask(events))
    expect(new Set(tasks.map(({ status }) => status))).toEqual(new Set(["completed"]))
    expect(new Set(tasks.map(({ epoch }) => epoch))).toEqual(new Set([1]))
    const second = (await rig.leases.read("leader").pipe(run))?.holder
    expect(["l2", "l3"]).toContain(second)
    const [two, three] = second === "l2" ? [leaders[1], leaders[2]] : [leaders[2], leaders[1]]
    await two!.close()
    await isLeading(three!.node)
    expect(lastTask(await run(runToEnd(gateway.node, echo(7)))).status).toBe("completed")
  })

  it("N5 say who reads less than others, whatever their roles, and show no more workers than there are", async () => {
    const { rig, start } = cluster()
    const gateway = await start("g", "gateway")
    expect((await infoOf(gateway.node)).recordLevel).toEqual({
      inForce: RECORD_LEVEL_MAX,
      readable: RECORD_LEVEL_MAX,
      heldBackBy: [],
    })
    const leases = await run(rig.leases.list(NODE_LEASES))
    const newer = { ...nodeLeaseData(leases[0]!), level: RECORD_LEVEL_MAX + 1 }
    await run(rig.leases.acquire(nodeLeaseName("newer"), "newer", newer))
    const leader = await start("l", "leader")
    const holders = (await infoOf(leader.node)).recordLevel.heldBackBy
    expect(holders.map(({ level, node, roles }) => [node, roles, level])).toEqual([
      ["g", ["gateway"], RECORD_LEVEL_MAX],
      ["l", ["leader"], RECORD_LEVEL_MAX],
    ])
    expect(await run(rig.workers.list)).toEqual([])
    await leader.close()
    expect((await run(rig.leases.list(NODE_LEASES))).map(({ holder }) => holder)).toEqual(["g", "newer"])
  })

  it("N5 tell again that they are there when they were counted out", async () => {
    const { rig, start } = cluster({ leaseMs: 1_000 })
    await start("g", "gateway")
    const [lease] = await run(rig.leases.list(NODE_LEASES))
    await run(rig.leases.release(lease!))
    let isBack = false
    const look = (): boolean => {
      void run(rig.leases.list(NODE_LEASES)).then((all) => (isBack = all.length === 1))
      return isBack
    }
    await until(look, "its lease")
  })

  it("N5 do not start where records are beyond them, and end where they become so", async () => {
    const { fatal, rig, start } = cluster()
    const worker = await start("w", "worker")
    await isReady(worker.node)
    const began = { kind: "control", recordId: "r", fact: { type: "termBegan", node: "x", term: 1, atMs: 1 } } as const
    await run(rig.log.append(CONTROL_SUBJECT, 0, { ...began, level: RECORD_LEVEL_MAX + 1 }))
    await until(() => fatal.length > 0, "the end of a node that is too old")
    expect(fatal.splice(0).join()).toContain("upgrade this one")
    expect(await infoOf(worker.node)).toMatchObject({ ready: false })
    await expect(start("late", "gateway")).rejects.toMatchObject({ code: "SCHEMA_TOO_NEW" })
    expect((await run(rig.leases.list(NODE_LEASES))).map(({ holder }) => holder)).toEqual(["w"])
  })
})
