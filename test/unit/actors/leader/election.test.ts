/** Is there never more than one leader, soon another when one is gone, and no harm from replies that were lost? */
import { Effect, Fiber } from "effect"
import { afterEach, describe, expect, it } from "vitest"
import { makeElection } from "../../../../actors/leader/election.ts"
import { type Guard, makeGuard } from "../../../../actors/leader/guard.ts"
import { type BerthError, berthError } from "../../../../core/errors.ts"
import { makeMemoryLeases, makeMemorySignals } from "../../../../store/memory/index.ts"
import { type ManualClock, manualClock, seededRandom, settle } from "../../../support/clock.ts"
import { wired } from "../../../support/clusterRig.ts"
import { seeded } from "../../../support/seeded.ts"
import { SILENT } from "../../../support/silent.ts"

const LEASE_MS = 4_000
const GRACE_MS = 500
const STEP_MS = 50

const running: Fiber.Fiber<unknown, unknown>[] = []
afterEach(async () => {
  for (const fiber of running.splice(0)) await Effect.runPromise(Fiber.interrupt(fiber))
})

interface Candidate {
  readonly name: string
  readonly guard: Guard
  readonly link: ReturnType<typeof wired>
  trouble: string | null
  isStuck: boolean
  terms: number
  /** While set, the next term fails with it. */
  failsWith: BerthError | null
  /** Ends it as a crash does: nothing is given back. */
  readonly crash: () => Promise<void>
}

class Electorate {
  readonly clock: ManualClock = manualClock()
  readonly leases = makeMemoryLeases()
  readonly signals = makeMemorySignals()
  readonly all: Candidate[] = []

  async join(name: string, wire: ReturnType<typeof wired>["wire"] = "up"): Promise<Candidate> {
    const link = wired(this.leases, this.clock)
    link.wire = wire
    const candidate = {
      name,
      link,
      trouble: null,
      isStuck: false,
      terms: 0,
      failsWith: null,
    } as unknown as Candidate & {
      guard: Guard
    }
    const guard = makeGuard({
      election: makeElection({ leases: link.leases, clock: this.clock, node: name, leaseMs: LEASE_MS }),
      leaseMs: LEASE_MS,
      clock: this.clock,
      random: seededRandom(this.all.length + 1),
      signals: this.signals,
      logger: SILENT,
      trouble: () => candidate.trouble,
      isStuck: () => candidate.isStuck,
      term: () => (candidate.failsWith === null ? Effect.never : Effect.fail(candidate.failsWith)),
      onTerm: () => void (candidate.terms += 1),
    })
    const fiber = Effect.runFork(guard.run)
    running.push(fiber)
    const crash = async () => {
      link.wire = "down"
      await Effect.runPromise(Fiber.interrupt(fiber))
    }
    Object.assign(candidate, { guard, crash })
    this.all.push(candidate)
    await settle()
    return candidate
  }

  get leading(): readonly string[] {
    return this.all.filter(({ guard }) => guard.isLeading()).map(({ name }) => name)
  }

  /** Lets time pass in small steps; at none of them may two lead. */
  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += STEP_MS) {
      await this.clock.advance(STEP_MS)
      expect(this.leading.length).toBeLessThanOrEqual(1)
    }
  }

  /** Milliseconds until somebody leads. */
  async untilLed(msMax: number): Promise<number> {
    let passed = 0
    while (this.leading.length === 0 && passed < msMax) {
      await this.pass(STEP_MS)
      passed += STEP_MS
    }
    return passed
  }
}

const three = async (): Promise<Electorate> => {
  const electorate = new Electorate()
  for (const name of ["a", "b", "c"]) await electorate.join(name)
  await electorate.pass(500)
  return electorate
}

describe("of several that may lead", () => {
  it("does one, and the same one for as long as it renews?", async () => {
    const electorate = await three()
    expect(electorate.leading).toEqual(["a"])
    await electorate.pass(10 * LEASE_MS)
    expect(electorate.leading).toEqual(["a"])
    expect(electorate.all.map(({ terms }) => terms)).toEqual([1, 0, 0])
  })

  it("LD2 does another take over when one is gone, not before lease and grace have passed, and soon after?", async () => {
    const electorate = await three()
    await electorate.all[0]!.crash()
    const tookMs = await electorate.untilLed(3 * LEASE_MS)
    expect(electorate.leading).toHaveLength(1)
    // It had renewed up to a quarter of the lease before it was gone.
    expect(tookMs).toBeGreaterThan(LEASE_MS * 0.75 - STEP_MS)
    expect(tookMs).toBeLessThanOrEqual(LEASE_MS + GRACE_MS + 500)
  })

  it("GU4 LD4 does another lead at once when one hands over, and does that one not come back?", async () => {
    const electorate = await three()
    const handedOver = Effect.runPromise(electorate.all[0]!.guard.handOver)
    await settle()
    await handedOver
    await electorate.pass(100)
    expect(electorate.leading).toHaveLength(1)
    expect(electorate.leading).not.toContain("a")
    await electorate.pass(5 * LEASE_MS)
    expect(electorate.all[0]!.terms).toBe(1)
    await Effect.runPromise(electorate.all[0]!.guard.handOver)
  })

  it("LD4 does another lead at once when one hands over whose last renewal was done and not answered?", async () => {
    const electorate = await three()
    const [a] = electorate.all
    const before = (await Effect.runPromise(electorate.leases.read("leader")))?.revision ?? 0
    a!.link.wire = "mute"
    while (((await Effect.runPromise(electorate.leases.read("leader")))?.revision ?? 0) === before)
      await electorate.pass(STEP_MS)
    a!.link.wire = "up"
    const handedOver = Effect.runPromise(a!.guard.handOver)
    await settle()
    await handedOver
    await electorate.pass(100)
    expect(electorate.leading).toHaveLength(1)
    expect(electorate.leading).not.toContain("a")
  })

  it.each(["down", "hangs"] as const)(
    "LD1 does one that cannot renew (%s) stop leading before anybody else may begin?",
    async (wire) => {
      const electorate = await three()
      const [a] = electorate.all
      a!.link.wire = wire
      let stoppedAtMs: number | null = null
      let ledAtMs: number | null = null
      for (let ms = 0; ms < 3 * LEASE_MS && ledAtMs === null; ms += STEP_MS) {
        await electorate.pass(STEP_MS)
        if (!a!.guard.isLeading()) stoppedAtMs ??= ms
        if (electorate.leading.some((name) => name !== "a")) ledAtMs = ms
      }
      expect(stoppedAtMs).not.toBeNull()
      expect(ledAtMs! - stoppedAtMs!).toBeGreaterThanOrEqual(LEASE_MS / 8 - STEP_MS)
      a!.link.wire = "up"
      await electorate.pass(3 * LEASE_MS)
      expect(electorate.leading).not.toContain("a")
    },
  )

  it("LD3 does one whose renewals are done but not answered go on, once it hears again?", async () => {
    const electorate = await three()
    const [a] = electorate.all
    for (let round = 0; round < 5; round += 1) {
      a!.link.wire = "mute"
      await electorate.pass(LEASE_MS / 2)
      a!.link.wire = "up"
      await electorate.pass(LEASE_MS / 2)
    }
    expect(electorate.leading).toEqual(["a"])
    expect(a!.terms).toBe(1)
  })

  it("LD3 does one whose acquiring was done but not answered lead in the end?", async () => {
    const electorate = new Electorate()
    const a = await electorate.join("a", "mute")
    await electorate.pass(2_000)
    expect(a.guard.isLeading()).toBe(false)
    a.link.wire = "up"
    expect(await electorate.untilLed(10_000)).toBeLessThan(6_000)
  })

  it("GU2 does one in trouble not lead, and one that gets out of it do?", async () => {
    const electorate = new Electorate()
    const a = await electorate.join("a")
    await electorate.pass(500)
    await electorate.join("b")
    a.trouble = "too far behind"
    await a.crash()
    const c = await electorate.join("c")
    c.trouble = "too far behind"
    await electorate.untilLed(3 * LEASE_MS)
    expect(electorate.leading).toEqual(["b"])
    await electorate.all[1]!.crash()
    await electorate.pass(3 * LEASE_MS)
    expect(electorate.leading).toEqual([])
    c.trouble = null
    await electorate.pass(2 * LEASE_MS)
    expect(electorate.leading).toEqual(["c"])
  })

  it("GU2 does one whose read model stands still make room for another?", async () => {
    const electorate = new Electorate()
    const a = await electorate.join("a")
    await electorate.pass(500)
    await electorate.join("b")
    a.trouble = "behind for a moment"
    await electorate.pass(5 * LEASE_MS)
    expect(electorate.leading).toEqual(["a"])
    a.isStuck = true
    await electorate.pass(LEASE_MS)
    expect(electorate.leading).toEqual(["b"])
    await electorate.pass(5 * LEASE_MS)
    expect(electorate.leading).toEqual(["b"])
  })

  it("GU3 does a term that fails at once, whatever the error, leave the place to another?", async () => {
    const electorate = await three()
    for (const candidate of electorate.all) candidate.failsWith = berthError("STORE_CORRUPT", "damaged")
    electorate.all[2]!.failsWith = null
    await electorate.all[0]!.crash()
    await electorate.pass(5 * LEASE_MS)
    expect(electorate.leading).toEqual(["c"])
  })

  it("do never two lead, over many cuts, lost answers and crashes?", async () => {
    const random = seeded(20261121)
    const electorate = new Electorate()
    for (const name of ["a", "b", "c"]) await electorate.join(name)
    let led = 0
    for (let round = 0; round < 120; round += 1) {
      for (const { link } of electorate.all)
        link.wire = random.pick(["up", "up", "up", "up", "up", "up", "down", "mute", "hangs"] as const)
      await electorate.pass(random.whole(1, LEASE_MS))
      led += electorate.leading.length
    }
    expect(led).toBeGreaterThan(20)
    for (const { link } of electorate.all) link.wire = "up"
    await electorate.pass(4 * LEASE_MS)
    expect(electorate.leading).toHaveLength(1)
  })
})
