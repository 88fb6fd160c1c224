/** Is the read model of a node gone on with where it is good, and made anew, from a snapshot if there is one, where it is not? */
import { truncateSync, utimesSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Exit, Scope } from "effect"
import { describe, expect, it } from "vitest"
import { makeSnapshots, readManifest } from "../../../actors/leader/snapshots.ts"
import { resolveConfig } from "../../../core/config.ts"
import { type BerthError, berthError } from "../../../core/errors.ts"
import type { ReadModel } from "../../../core/ports/readModel.ts"
import { type SnapshotSource, pieceKey } from "../../../core/ports/snapshots.ts"
import { type LogEntry, stateSubject } from "../../../core/record.ts"
import { makeMemoryBlobs } from "../../../store/memory/index.ts"
import { noteDamage } from "../../../store/sqlite/damage.ts"
import { type NodeModelOptions, openNodeModel } from "../../../store/sqlite/nodeModel.ts"
import { snapshotsOf } from "../../../store/sqlite/snapshot.ts"
import { manualClock, seededRandom, settle } from "../../support/clock.ts"
import { SILENT } from "../../support/silent.ts"
import { tamper, temporaryDir } from "../../support/sqlite.ts"
import { submitted } from "../../support/task.ts"

const entriesOf = (from: number, to: number): readonly LogEntry[] =>
  Array.from({ length: to - from + 1 }, (_, n) => {
    const id = `t${from + n}`
    return { seq: from + n, subject: stateSubject(id), record: submitted({ id }) }
  })

/** A model's file that is opened again and again. */
const scene = Effect.gen(function* () {
  const path = join(yield* temporaryDir, "read.db")
  const told: string[] = []
  let scope: Scope.Closeable | null = null
  const close = Effect.suspend(() => (scope === null ? Effect.void : Scope.close(scope, Exit.void)))
  yield* Effect.addFinalizer(() => close)
  const open = (more: Partial<NodeModelOptions> = {}): Effect.Effect<ReadModel["Service"], BerthError> =>
    Effect.gen(function* () {
      yield* close
      scope = yield* Scope.make()
      const options: NodeModelOptions = {
        path,
        log: "c1",
        unusedSinceMs: 0,
        snapshot: () => Effect.succeed(null),
        onAnew: (from, why) => told.push(`${from}: ${why}`),
        ...more,
      }
      return yield* Scope.provide(openNodeModel(options), scope)
    })
  return { path, told, open, close }
})
type Scene = Effect.Success<typeof scene>

const run = <A>(body: Effect.Effect<A, BerthError, Scope.Scope>): Promise<A> => Effect.runPromise(Effect.scoped(body))
const pendingOf = (model: ReadModel["Service"]) => Effect.map(model.counts(null), ({ byStatus }) => byStatus.pending)

const spoilers: readonly (readonly [string, string, (scene: Scene) => Effect.Effect<unknown, BerthError>])[] = [
  [
    "a file that is no database",
    "it cannot be read",
    ({ path }) => Effect.sync(() => writeFileSync(path, "no".repeat(5_000))),
  ],
  ["a file that was cut off", "it cannot be read", ({ path }) => Effect.sync(() => truncateSync(path, 100))],
  [
    "a model of another form",
    "its form is 0.0.0",
    ({ path }) => tamper(path, "update meta set value = '0.0.0' where name = 'model'"),
  ],
  [
    "a model of another log",
    "it belongs to another log",
    ({ path }) => tamper(path, "update meta set value = 'c0' where name = 'log'"),
  ],
  ["a model with a damaged row", "a row was damaged", ({ path }) => Effect.sync(() => noteDamage(path))],
]

describe("the read model of a node", () => {
  it("is empty at first, and gone on with at its checkpoint", () =>
    run(
      Effect.gen(function* () {
        const { open, told } = yield* scene
        const model = yield* open()
        yield* model.apply(entriesOf(1, 5))
        const again = yield* open()
        expect(yield* again.checkpoint).toBe(5)
        expect(yield* pendingOf(again)).toBe(5)
        expect(told).toEqual(["log: there is none"])
      }),
    ))

  it.each(spoilers)("%s is thrown away", (_, why, spoil) =>
    run(
      Effect.gen(function* () {
        const rig = yield* scene
        const model = yield* rig.open()
        yield* model.apply(entriesOf(1, 5))
        yield* rig.close
        yield* spoil(rig)
        const again = yield* rig.open()
        expect(yield* again.checkpoint).toBe(0)
        expect(yield* pendingOf(again)).toBe(0)
        expect(rig.told[1]).toContain(why)
        yield* again.apply(entriesOf(1, 7))
        expect(yield* pendingOf(yield* rig.open())).toBe(7)
      }),
    ),
  )

  it("one that nobody used for too long is thrown away", () =>
    run(
      Effect.gen(function* () {
        const { close, open, path, told } = yield* scene
        yield* (yield* open()).apply(entriesOf(1, 5))
        yield* close
        utimesSync(path, 1_000, 1_000)
        expect(yield* (yield* open({ unusedSinceMs: 2_000_000 })).checkpoint).toBe(0)
        expect(told[1]).toContain("not used")
      }),
    ))
})

describe("a snapshot", () => {
  const taken = (source: SnapshotSource) =>
    Effect.gen(function* () {
      const pieces: Uint8Array[] = []
      const { pieces: count, seq } = yield* source.take((index, bytes) =>
        Effect.sync(() => void (pieces[index] = bytes)),
      )
      expect(pieces).toHaveLength(count)
      const snapshot = () =>
        Effect.succeed({
          pieces: count,
          piece: (index: number) =>
            pieces[index] === undefined ? Effect.fail(berthError("NOT_FOUND", "gone")) : Effect.succeed(pieces[index]),
        })
      return { pieces, seq, snapshot }
    })

  it("SP1 SP2 gives a new node what the other had at that moment, in pieces, and the feed does the rest", () =>
    run(
      Effect.gen(function* () {
        const [one, two] = [yield* scene, yield* scene]
        const model = yield* one.open()
        yield* model.apply(entriesOf(1, 400))
        const [{ pieces, seq, snapshot }] = yield* Effect.all(
          [taken(snapshotsOf(one.path, 2_000)), model.apply(entriesOf(401, 420))],
          { concurrency: 2 },
        )
        expect(pieces.length).toBeGreaterThan(2)
        expect([400, 420]).toContain(seq)
        const other = yield* two.open({ snapshot })
        expect(two.told).toEqual(["snapshot: there is none"])
        expect(yield* other.checkpoint).toBe(seq)
        expect(yield* pendingOf(other)).toBe(seq)
        yield* other.apply(entriesOf(1, 430))
        expect(yield* pendingOf(other)).toBe(430)
        expect((yield* other.get("t7"))?.state.id).toBe("t7")
      }),
    ))

  it.each<[string, (pieces: Uint8Array[]) => void]>([
    ["a piece of which is gone", (pieces) => void pieces.splice(0)],
    ["that is no such thing", (pieces) => void (pieces[0] = new Uint8Array(500).fill(7))],
  ])("%s is no harm: the log has everything", (_, spoil) =>
    run(
      Effect.gen(function* () {
        const [one, two] = [yield* scene, yield* scene]
        yield* (yield* one.open()).apply(entriesOf(1, 100))
        const { pieces, snapshot } = yield* taken(snapshotsOf(one.path, 500))
        spoil(pieces)
        const other = yield* two.open({ snapshot })
        expect([yield* other.checkpoint, two.told]).toEqual([0, ["log: there is none"]])
      }),
    ),
  )

  it("SN1 SN2 is left by the leader after so many entries, the earlier one goes, and a failure ends nothing", async () => {
    const { blobs } = makeMemoryBlobs()
    const clock = manualClock()
    let [checkpoint, takes, fails] = [50, 0, true]
    const source: SnapshotSource = {
      version: "1",
      take: (onPiece) =>
        Effect.gen(function* () {
          takes += 1
          yield* onPiece(0, new Uint8Array([takes]))
          if (fails) return yield* Effect.fail(berthError("STORAGE_FULL", "full"))
          yield* onPiece(1, new Uint8Array([takes]))
          return { seq: checkpoint, pieces: 2 }
        }),
    }
    const snapshots = makeSnapshots(
      { config: resolveConfig({ snapshotEntries: 100 }), logger: SILENT, snapshots: source },
      {
        blobs,
        clock,
        random: seededRandom(1),
        readModel: { checkpoint: Effect.sync(() => checkpoint) } as unknown as ReadModel["Service"],
      },
    )
    const fiber = Effect.runFork(snapshots)
    const keys = () => Effect.runPromise(blobs.list("snapshots"))
    await clock.advance(20_000)
    expect(takes).toBe(0)
    checkpoint = 120
    await clock.advance(6_000)
    expect([takes > 0, await keys()]).toEqual([true, []])
    // Of a leader that was killed meanwhile.
    await Effect.runPromise(blobs.put(pieceKey("1", "unfinished", 0), new Uint8Array(1)))
    fails = false
    await clock.advance(6_000)
    expect((await keys()).filter((key) => key.includes("unfinished"))).toEqual([])
    const first = await Effect.runPromise(readManifest(blobs, "1"))
    expect(first).toMatchObject({ seq: 120, pieces: 2 })
    checkpoint = 219
    await clock.advance(20_000)
    expect(await Effect.runPromise(readManifest(blobs, "1"))).toEqual(first)
    checkpoint = 220
    await clock.advance(6_000)
    const second = await Effect.runPromise(readManifest(blobs, "1"))
    expect(second?.seq).toBe(220)
    expect(await keys()).toEqual(
      ["snapshots/1/manifest", pieceKey("1", second?.name ?? "", 0), pieceKey("1", second?.name ?? "", 1)].sort(),
    )
    fiber.interruptUnsafe()
    await settle()
  })
})
