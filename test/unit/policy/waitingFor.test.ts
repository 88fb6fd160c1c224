/** Does a task say why it does not go on? */
import { describe, expect, it } from "vitest"
import { waitingForOf } from "../../../core/policy/waitingFor.ts"
import type { WorkerInfo } from "../../../core/ports/workers.ts"
import type { TaskState } from "../../../core/task/state.ts"
import { workerInfo } from "../../support/actorRig.ts"
import { ended, started, submitted } from "../../support/task.ts"

const pending = submitted({ id: "t1" }).state
const running = started(pending).state
const holder = running.holder?.worker as string
const cutOff = { kinds: [], kindsUnavailable: ["handler"] }
const said = (state: TaskState, workers: readonly WorkerInfo[] | null, limited = false) =>
  waitingForOf(state, { workers, limited })

describe("a task that waits says", () => {
  it("time, while a delay or a pause before a retry has not passed", () => {
    const retrying = { ...pending, phase: "retrying", wakeAtMs: 5 } as const
    expect(said({ ...pending, phase: "delayed", wakeAtMs: 5 }, [workerInfo(cutOff)])).toBe("time")
    expect(said(retrying, [workerInfo()])).toBe("time")
    expect(said(retrying, null)).toBe("time")
    expect(said(retrying, [workerInfo(cutOff)])).toBe("backend_unavailable")
  })

  it("backend_unavailable, when all workers that could take it are cut off from their engine", () => {
    expect(said(pending, [workerInfo(cutOff)])).toBe("backend_unavailable")
    expect(said(pending, [workerInfo(cutOff), workerInfo({ worker: "w2" })])).toBe("slot")
    expect(said(pending, [workerInfo({ ...cutOff, draining: true })])).toBe("worker")
    expect(said(pending, [workerInfo({ ...cutOff, pool: "other" })])).toBe("worker")
  })

  it("worker, when no worker could ever take it; owner_limit and slot otherwise; nothing where nobody knows", () => {
    expect(said(pending, [])).toBe("worker")
    expect(said(pending, [workerInfo({ kinds: ["image"] })])).toBe("worker")
    expect(said(pending, [workerInfo()], true)).toBe("owner_limit")
    expect(said(pending, [workerInfo()])).toBe("slot")
    expect(said(pending, null)).toBeNull()
  })
})

describe("a task that runs says", () => {
  it("backend_unavailable while its own worker is cut off, and nothing otherwise or at rest", () => {
    expect(said(running, [workerInfo({ ...cutOff, worker: holder })])).toBe("backend_unavailable")
    expect(said(running, [workerInfo({ worker: holder }), workerInfo({ ...cutOff, worker: "other" })])).toBeNull()
    expect(said(ended(running).state, [workerInfo(cutOff)])).toBeNull()
  })
})
