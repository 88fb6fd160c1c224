/** Which workers may take a task, and how many are sent to those? */
import { describe, expect, it } from "vitest"
import { creditsOf, Placing } from "../../../core/policy/credit.ts"
import { meets, routeOf, takersOf } from "../../../core/policy/route.ts"
import type { WorkerInfo } from "../../../core/ports/workers.ts"
import { workerInfo } from "../../support/actorRig.ts"
import { specOf } from "../../support/task.ts"

const image = (more: Parameters<typeof specOf>[0] = {}) => routeOf(specOf({ kind: "image", target: "alpine", ...more }))
const names = (workers: readonly WorkerInfo[]) => workers.map(({ worker }) => worker)
const w1 = workerInfo({ worker: "w1" })

describe("a worker can take a task", () => {
  it.each([
    ["of its pool alone", { pool: "gpu" }, { pool: "gpu" }],
    ["whose handler it has", { requires: { handler: "resize" } }, { handlers: ["resize"] }],
    ["whose class its engine has", { requires: { isolation: "runsc" } }, { isolations: ["runsc"] }],
    [
      "all of whose labels it has",
      { requires: { labels: { zone: "eu", disk: "ssd" } } },
      { labels: { zone: "eu", disk: "ssd", more: "x" } },
    ],
  ] as const)("%s", (_, spec, info) => {
    const route = image(spec)
    expect(meets(workerInfo(info), route)).toBe(true)
    expect(meets(w1, route)).toBe(false)
  })

  it("one label that is missing or other is enough not to", () => {
    const route = image({ requires: { labels: { zone: "eu", disk: "ssd" } } })
    expect(meets(workerInfo({ labels: { zone: "eu" } }), route)).toBe(false)
    expect(meets(workerInfo({ labels: { zone: "us", disk: "ssd" } }), route)).toBe(false)
  })

  it("a handler task goes to who has that handler", () => {
    const route = routeOf(specOf({ kind: "handler", target: "resize" }))
    expect(names(takersOf(route, [w1, workerInfo({ worker: "w2", handlers: ["resize"] })]))).toEqual(["w2"])
  })

  it("now only while it takes work at all, of this kind", () => {
    const others = [
      workerInfo({ accepting: false }),
      workerInfo({ draining: true }),
      workerInfo({ kinds: ["handler"] }),
    ]
    expect(takersOf(image(), others)).toEqual([])
  })

  it("a class that is asked for and that some have goes to those; one that nobody has goes to the engine's refusal", () => {
    const strong = workerInfo({ worker: "w2", isolations: ["runc", "runsc"] })
    expect(names(takersOf(image({ isolation: "runsc" }), [w1, strong]))).toEqual(["w2"])
    expect(names(takersOf(image({ isolation: "kata" }), [w1, strong]))).toEqual(["w1", "w2"])
    expect(takersOf(image({ requires: { isolation: "kata" } }), [w1, strong])).toEqual([])
  })

  it("equal needs are one route, whatever the order of their labels", () => {
    const [a, b] = [
      { x: "1", y: "2" },
      { y: "2", x: "1" },
    ].map((labels) => image({ requires: { labels } }).key)
    expect(a).toBe(b)
    expect(image({ requires: { labels: { x: "2" } } }).key).not.toBe(image({ requires: { labels: { x: "1" } } }).key)
    expect(image({ requires: {} }).key).toBe(image().key)
  })
})

describe("where tasks of a pool go", () => {
  const eu = workerInfo({ worker: "eu", slots: 2, labels: { zone: "eu" } })
  const us = workerInfo({ worker: "us", slots: 4 })
  const inEu = image({ requires: { labels: { zone: "eu" } } })

  it("what all can take goes to the pool; a pool's credit is of its working members, and the lookahead once", () => {
    const placing = new Placing([eu, us], [], 2)
    expect([placing.isOpen(image()), placing.place(image())]).toEqual([true, null])
    const credits = creditsOf([eu, us, workerInfo({ worker: "x", draining: true }), workerInfo({ pool: "gpu" })], 2)
    expect([...credits].map(([pool, { slots, workers }]) => [pool, slots, names(workers)])).toEqual([
      ["default", 8, ["eu", "us"]],
      ["gpu", 6, ["w1"]],
    ])
  })

  it("what some can take goes to the one of them with most room, and no more than has room", () => {
    const placing = new Placing(
      [eu, workerInfo({ ...eu, worker: "eu2", slots: 1 }), us],
      [{ worker: "eu" }, { worker: null }],
      1,
    )
    const sent: (string | null)[] = []
    while (placing.isOpen(inEu)) sent.push(placing.place(inEu))
    expect(sent).toEqual(["eu", "eu2", "eu", "eu2"])
  })

  it("with all its slots taken by others it is still sent one, so that it gets the next slot there", () => {
    const placing = new Placing([eu, us], [{ worker: "eu" }, { worker: "eu" }], 0)
    expect([placing.isOpen(inEu), placing.place(inEu), placing.isOpen(inEu)]).toEqual([true, "eu", false])
  })

  it("what nobody can take is closed", () => {
    expect(new Placing([us], [], 2).isOpen(inEu)).toBe(false)
    expect(new Placing([], [], 2).isOpen(image())).toBe(false)
  })
})
