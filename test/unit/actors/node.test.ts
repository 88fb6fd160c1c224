/** Does a whole node bring every task to its end, start and stop as often as one likes, and hand over what it held? */
import { Effect, Exit, Layer, Scope, Stream } from "effect"
import { describe, expect, it } from "vitest"
import { handlerExecutor, type Handlers } from "../../../actors/executor/handler/index.ts"
import { type BerthNode, startNode } from "../../../actors/node.ts"
import { type ConfigInput, resolveConfig } from "../../../core/config.ts"
import { Clock } from "../../../core/ports/clock.ts"
import type { ExecutorShape } from "../../../core/ports/executor.ts"
import { NO_TELEMETRY } from "../../../core/telemetry.ts"
import { makeRig, type Rig } from "../../support/actorRig.ts"
import { OWNER, lastTask, runToEnd } from "../../support/embeddedNode.ts"
import { fakeExecutor } from "../../support/fakeExecutor.ts"
import { countingClock, expectCleanLifecycle } from "../../support/lifecycle.ts"
import { SILENT } from "../../support/silent.ts"
import { until } from "../../support/until.ts"
import { streamOf } from "../../support/watching.ts"

interface Given {
  readonly rig: Rig
  readonly executors: readonly ExecutorShape[]
  readonly config?: ConfigInput
  readonly nodeId?: string
  readonly onFatal?: (reason: string) => void
}
const nodeOf = ({ config = {}, executors, nodeId = "n1", onFatal = () => {}, rig }: Given) =>
  startNode({
    config: resolveConfig({ reconcileMs: 100, ...config }),
    clusterId: "c",
    nodeId,
    version: "0",
    store: "memory",
    executors,
    handlers: ["echo", "fail", "wait"],
    executorDetail: () => ({}),
    backends: [],
    logger: SILENT,
    telemetry: NO_TELEMETRY,
    onFatal,
  }).pipe(Effect.provide(rig.ports))

const handlersOf = (rig: Rig, more: Handlers = {}): ExecutorShape =>
  handlerExecutor({
    clock: rig.clock,
    handlers: {
      echo: (input) => input,
      fail: () => {
        throw new Error("no")
      },
      wait: (_, { signal }) =>
        new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
      ...more,
    },
  })
/** A node in a scope of its own, so that it can be left as a crash would leave it. */
const started = async (given: Given): Promise<{ readonly node: BerthNode; readonly close: () => Promise<void> }> => {
  const scope = Effect.runSync(Scope.make())
  const node = await Effect.runPromise(Scope.provide(nodeOf(given), scope))
  return { node, close: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
}
const waits = (rig: Rig, id: string, wanted: string): Promise<void> => {
  let status = ""
  const look = (): boolean => {
    void rig.state(id).then((state) => {
      status = state.status
    })
    return status === wanted
  }
  return until(look, `${id} ${wanted}`)
}

describe("a node", () => {
  it("brings tasks of every kind of end to it, and counts no drift and no repair", async () => {
    const rig = makeRig({ live: true })
    const { close, node } = await started({ rig, executors: [handlersOf(rig)] })
    const run = (handler: string, more = {}) =>
      rig.run(runToEnd(node, { handler, input: { a: 1 }, ...more })).then((events) => lastTask(events))
    const retry = { delayMsInitial: 1, delayMsMax: 1 }
    const [good, bad, late] = await Promise.all([
      run("echo"),
      run("fail", { maxAttempts: 3, retry }),
      run("wait", { timeoutMs: 20, graceMs: 10 }),
    ])
    expect(good).toMatchObject({ status: "completed", result: { value: { a: 1 } } })
    expect(bad).toMatchObject({ status: "failed", attempt: 3 })
    expect(late).toMatchObject({ status: "timeout" })
    await until(() => node.heldCount() === 0)
    expect(await rig.run(node.info)).toMatchObject({ ready: true, leader: true, slotDrift: 0, repairs: 0 })
    await rig.run(node.stop)
    await close()
  })

  it("does many at once within its slots, and loses none", async () => {
    const rig = makeRig({ live: true })
    let running = 0
    let widest = 0
    const busy: Handlers = {
      echo: async (input) => {
        running += 1
        widest = Math.max(widest, running)
        await Promise.resolve()
        running -= 1
        return input
      },
    }
    const { close, node } = await started({ rig, executors: [handlersOf(rig, busy)], config: { slots: 3 } })
    const all = Array.from({ length: 60 }, (_, n) => rig.run(runToEnd(node, { handler: "echo", input: n })))
    const values = (await Promise.all(all)).map((events) => lastTask(events).result?.value)
    expect(values).toEqual(Array.from({ length: 60 }, (_, n) => n))
    expect(widest).toBeLessThanOrEqual(3)
    expect([node.waitingIn("normal"), node.slotDrift()]).toEqual([0, 0])
    await close()
  })

  it("drains: what runs ends, what waits stays", async () => {
    const rig = makeRig({ live: true })
    const executor = fakeExecutor()
    const { close, node } = await started({ rig, executors: [executor, handlersOf(rig)], config: { slots: 1 } })
    const image = { image: "alpine", command: ["true"] }
    const first = await rig.run(node.service.submit(OWNER, image, "1"))
    const program = await executor.run1(first.task.id)
    const drained = rig.run(node.drain)
    const second = await rig.run(node.service.submit(OWNER, image, "2"))
    program.exit()
    await drained
    expect([(await rig.state(first.task.id)).status, (await rig.state(second.task.id)).status]).toEqual([
      "completed",
      "pending",
    ])
    await close()
  })
})

describe("start and stop", () => {
  it("as often as one likes, each twice, with work under way: nothing is left behind, and every task ends", async () => {
    const live = makeRig({ live: true })
    const clock = countingClock(live.clock)
    const rig: Rig = { ...live, clock, ports: Layer.merge(live.ports, Layer.succeed(Clock, clock)) }
    const ids: string[] = []
    await expectCleanLifecycle({
      rounds: 6,
      clock,
      start: (round) => nodeOf({ rig, executors: [handlersOf(rig)], nodeId: `n${round}`, config: { slots: 2 } }),
      use: async (node, round) => {
        for (let n = 0; n < 5; n += 1) {
          const request = { handler: n === 4 ? "wait" : "echo", input: n, ...(n === 4 && { timeoutMs: 50 }) }
          ids.push((await rig.run(node.service.submit(OWNER, request, `${round}/${n}`))).task.id)
        }
      },
      stop: (node) => node.stop,
    })
    // A planned stop counts as nobody's death; a last node finishes what the others left.
    const { close, node } = await started({ rig, executors: [handlersOf(rig)], nodeId: "last" })
    for (const id of ids) await rig.run(Stream.runDrain(streamOf(node.service.watch(OWNER, id, 0))))
    const states = await Promise.all(ids.map(rig.state))
    expect(states.filter(({ workerDeaths }) => workerDeaths > 0)).toEqual([])
    expect(states.every(({ attempt }) => attempt === 1)).toBe(true)
    expect(states.filter(({ status }) => status === "completed").length).toBe(24)
    expect(states.filter(({ status }) => status === "timeout").length).toBe(6)
    await close()
  })

  it("N1 N2: a stopped node leaves running programs, and the next one adopts them before it pulls", async () => {
    const rig = makeRig({ live: true })
    const executor = fakeExecutor()
    const first = await started({ rig, executors: [executor], nodeId: "n1" })
    const image = { image: "alpine", command: ["true"] }
    const { task } = await rig.run(first.node.service.submit(OWNER, image, "1"))
    const program = await executor.run1(task.id)
    await program.print("one ")
    await rig.run(first.node.stop)
    await first.close()
    const second = await started({ rig, executors: [executor], nodeId: "n2" })
    const adopted = await executor.run1(task.id)
    expect([adopted.adopted, adopted.offsets.stdout]).toEqual([true, 4])
    await adopted.print("two")
    adopted.exit()
    const events = await rig.run(Stream.runCollect(streamOf(second.node.service.watch(OWNER, task.id, 0))))
    const text = events.flatMap((event) => (event.type === "output" ? [Buffer.from(event.bytes).toString()] : []))
    expect(text.join("")).toBe("one two")
    expect(lastTask(events)).toMatchObject({ status: "completed", attempt: 1, epoch: 2 })
    await second.close()
  })

  it("a node that died in every step of an attempt: the next one brings the task to its end, once", async () => {
    for (const step of ["create", "run", "collect", "remove"] as const) {
      const rig = makeRig({ live: true })
      const executor = fakeExecutor()
      executor.hold(step)
      const first = await started({ rig, executors: [executor], nodeId: "n1" })
      const request = { image: "alpine", command: ["true"], artifacts: true }
      const { task } = await rig.run(first.node.service.submit(OWNER, request, "1"))
      if (step === "collect" || step === "remove") (await executor.run1(task.id)).exit()
      await executor.untilCalled(`${step} ${task.id}`)
      await first.close()
      executor.letGo(step)
      const second = await started({ rig, executors: [executor], nodeId: "n2" })
      if (step !== "remove") (await executor.run1(task.id)).exit()
      await waits(rig, task.id, "completed")
      await until(() => second.node.heldCount() === 0)
      const records = await rig.run(rig.store.log.readTask(task.id, 0, 100))
      const facts = records.flatMap(({ record }) =>
        record.kind === "task" ? record.facts.map(({ type }) => type) : [],
      )
      expect(
        facts.filter((fact) => fact === "ended"),
        step,
      ).toEqual(["ended"])
      await until(() => executor.containers.size === 0, `${step}: no container`)
      await second.close()
    }
  }, 60_000)

  it("a store that is away for a while ends no node: it goes on by itself", async () => {
    const rig = makeRig({ live: true })
    const fatal: string[] = []
    const { close, node } = await started({
      rig,
      executors: [handlersOf(rig)],
      onFatal: (reason) => void fatal.push(reason),
    })
    rig.fail("append", { type: "refused", times: 1_000_000 })
    rig.fail("head", { type: "refused", times: 3 })
    await expect(rig.run(node.service.submit(OWNER, { handler: "echo" }, "1"))).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
    })
    rig.heal()
    const events = await rig.run(runToEnd(node, { handler: "echo", input: 2 }))
    expect(lastTask(events).status).toBe("completed")
    expect(fatal).toEqual([])
    await close()
  })
})
