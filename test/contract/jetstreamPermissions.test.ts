/** The shipped permissions on a real server: what each role does works through the ports, and nothing else does. */
import { jetstream } from "@nats-io/jetstream"
import { connect, type NatsConnection, usernamePasswordAuthenticator } from "@nats-io/transport-node"
import { Context, Effect, Exit, type Scope } from "effect"
import { describe, expect, it } from "vitest"
import type { BerthError } from "../../core/errors.ts"
import { Blobs } from "../../core/ports/blobs.ts"
import { EventLog } from "../../core/ports/eventLog.ts"
import { Leases } from "../../core/ports/leases.ts"
import { Queue, type WakeUp } from "../../core/ports/queue.ts"
import { Secrets } from "../../core/ports/secrets.ts"
import { Signals, workerSubject } from "../../core/ports/signals.ts"
import { Workers } from "../../core/ports/workers.ts"
import { stateSubject } from "../../core/record.ts"
import type { NatsSeries } from "../../gateway/provision/nats.ts"
import { type BrokerUser, permissionsOf, permissionsText } from "../../store/jetstream/permissions.ts"
import { encodePayload } from "../../store/shared/payload.ts"
import { isolate } from "../support/effect.ts"
import { takeFeed } from "../support/feed.ts"
import { NatsRig } from "../support/nats.ts"
import { describeWithNats } from "../support/require.ts"
import { printed, started, submitted, termBegan, tombstoneOf } from "../support/task.ts"
import { workerInfo } from "../support/actorRig.ts"

const CLUSTER = "prod"
const KEYS = { text: Buffer.alloc(32, 7).toString("base64"), source: "the test" }
const SILENCE_MS = 500

/** The cast: one of each role, and a second worker of another pool to speak as. */
const USERS = {
  leader: [{ role: "leader" }],
  gateway: [{ role: "gateway" }],
  w1: [{ role: "worker", worker: "w1", pool: "p" }],
  w2: [{ role: "worker", worker: "w2", pool: "other" }],
  both: [{ role: "leader" }, { role: "gateway" }],
} as const satisfies Record<string, readonly BrokerUser[]>
type Who = keyof typeof USERS

const lines = (): readonly string[] => [
  "authorization { users: [",
  "{user: operator, password: o}",
  ...Object.entries(USERS).map(
    ([name, users]) => `{user: ${name}, password: x, permissions: ${permissionsText(permissionsOf(CLUSTER, users))}}`,
  ),
  "]}",
]

const wakeUp = (taskId: string, pool = "p"): WakeUp => ({ pool, lane: "normal", taskId, epoch: 1, admission: 1 })

const contracts = (series: NatsSeries): void =>
  describeWithNats(`permissions on the ${series} server`, series, (server) => {
    const rig = new NatsRig(server, { operator: { name: "operator", password: "o" }, lines: lines() })
    const open = (who: Who) =>
      rig.open({
        cluster: CLUSTER,
        user: { name: who, password: "x" },
        manages: who === "leader" || who === "both",
        secretsKeys: KEYS,
        ackWaitMs: 5_000,
      })
    const port = <I, S>(who: Who, key: Context.Key<I, S>): Effect.Effect<S, BerthError, Scope.Scope> =>
      Effect.map(
        Effect.suspend(() => open(who)),
        (ports) => Context.get(ports as Context.Context<I>, key),
      )
    const raw = (who: Who): Effect.Effect<NatsConnection, never, Scope.Scope> =>
      Effect.acquireRelease(
        Effect.promise(() =>
          connect({ servers: [...rig.servers], authenticator: usernamePasswordAuthenticator(who, "x") }),
        ),
        (connection) => Effect.promise(() => connection.close()),
      )

    it("PE2 a leader makes the streams, admits, wakes, holds the lease, sees everybody and cleans up", () =>
      isolate(
        Effect.gen(function* () {
          const log = yield* port("leader", EventLog)
          const seq = yield* log.append("control", (yield* log.lastControl)?.seq ?? 0, termBegan(1))
          const next = yield* log.append("control", seq, termBegan(2))
          yield* log.trimControl(next)
          const first = submitted({ id: "lead" })
          const at = yield* log.append(stateSubject("lead"), 0, first)
          yield* log.entomb("lead", at, tombstoneOf(first.state))
          yield* log.forget("lead")
          const queue = yield* port("leader", Queue)
          yield* queue.publish([wakeUp("l")])
          expect((yield* queue.waiting("p")).normal).toBe(1)
          yield* queue.withdraw(wakeUp("l"))
          const leases = yield* port("leader", Leases)
          yield* leases.release(yield* leases.renew(yield* leases.acquire("leader", "n1", null), 1))
          yield* (yield* port("leader", Workers)).remove("gone")
          yield* (yield* port("leader", Signals)).publish(workerSubject("w1"), { type: "look" })
          yield* (yield* port("leader", Blobs)).put("snap/1/model", new Uint8Array(10))
        }),
      ))

    it("a gateway submits, reads, watches, signals, keeps programs and secrets, and deletes through the leader", () =>
      isolate(
        Effect.gen(function* () {
          yield* open("leader")
          const log = yield* port("gateway", EventLog)
          const first = submitted({ id: "g" })
          const seq = yield* log.append(stateSubject("g"), 0, first)
          yield* (yield* port("w1", EventLog)).appendOutput("g", printed("x"))
          expect(yield* log.readTask("g", 0, 10)).toHaveLength(2)
          expect((yield* takeFeed(log, seq - 1, 1))[0]?.seq).toBe(seq)
          const blobs = yield* port("gateway", Blobs)
          yield* blobs.put("g/0/program", new Uint8Array(300_000))
          expect((yield* blobs.get("g/0/program"))?.byteLength).toBe(300_000)
          yield* blobs.removePrefix("g/")
          const heard: unknown[] = []
          const signals = yield* port("gateway", Signals)
          yield* signals.subscribe("live.g", (payload) => void heard.push(payload))
          yield* signals.publish(workerSubject("w1"), { type: "cancel" })
          const secrets = yield* port("gateway", Secrets)
          yield* secrets.set("ann", "token", "s3cret")
          expect(yield* (yield* port("w1", Secrets)).resolve("ann", ["token"])).toEqual({ token: "s3cret" })
          yield* secrets.remove("ann", "token")
          expect(yield* secrets.list("ann")).toEqual([])
          yield* log.entomb("g", seq, tombstoneOf(first.state))
          expect((yield* log.readTask("g", 0, 10)).map((entry) => entry.record.kind)).toEqual(["tombstone"])
          expect(yield* (yield* port("gateway", Workers)).list).toBeDefined()
        }),
      ))

    it("PE1 a worker holds its lease, tells who it is, takes its pool's wake-ups, writes and prints", () =>
      isolate(
        Effect.gen(function* () {
          yield* (yield* port("leader", Queue)).publish([wakeUp("a"), wakeUp("b")])
          const log = yield* port("w1", EventLog)
          const first = submitted({ id: "a" })
          const seq = yield* log.append(stateSubject("a"), 0, first)
          yield* log.append(stateSubject("a"), seq, started(first.state))
          yield* log.appendOutput("a", printed("x"))
          const queue = yield* port("w1", Queue)
          const pulled = yield* queue.pull("p", 2, 5_000)
          expect(pulled.map(({ wakeUp: { taskId } }) => taskId).sort()).toEqual(["a", "b"])
          yield* pulled[0]?.nak ?? Effect.void
          const [again] = yield* queue.pull("p", 1, 5_000)
          for (const delivery of [again, pulled[1]]) yield* delivery?.ack ?? Effect.void
          expect(yield* queue.pull("p", 1, 0)).toEqual([])
          const leases = yield* port("w1", Leases)
          for (const name of ["w.w1", "w.w1.2"]) {
            const held = yield* leases.renew(yield* leases.acquire(name, "w1", []), [])
            yield* leases.release(yield* leases.acquire(name, "w1", null).pipe(Effect.orElseSucceed(() => held)))
            expect(yield* leases.read(name)).toBeNull()
          }
          const workers = yield* port("w1", Workers)
          yield* workers.put(workerInfo({ worker: "w1", pool: "p" }))
          expect((yield* workers.list).map(({ worker }) => worker)).toEqual(["w1"])
          yield* workers.remove("w1")
          const signals = yield* port("w1", Signals)
          yield* signals.subscribe(workerSubject("w1"), () => {})
          yield* signals.publish("live.a", { x: 1 })
          yield* (yield* port("w1", Blobs)).put("a/1/out", new Uint8Array(10))
        }),
      ))

    describe("is everything else refused, and does it say so?", () => {
      const W2_LEASE = { name: "w.w2", holder: "w2", revision: 1, data: null, revoked: false }
      const term = (who: Who) => Effect.flatMap(port(who, EventLog), (log) => log.append("control", 0, termBegan(9)))
      const acquire = (who: Who, name: string) =>
        Effect.flatMap(port(who, Leases), (leases) => leases.acquire(name, who, null))
      const FORBIDDEN: readonly (readonly [string, () => Effect.Effect<unknown, BerthError, Scope.Scope>])[] = [
        ["a gateway begins a term", () => term("gateway")],
        ["a worker begins a term", () => term("w1")],
        [
          "a gateway trims control",
          () =>
            Effect.flatMap(port("gateway", EventLog), (log) =>
              Effect.andThen(
                Effect.flatMap(open("leader"), (ports) =>
                  Effect.flatMap(Context.get(ports, EventLog).lastControl, (last) =>
                    Context.get(ports, EventLog).append("control", last?.seq ?? 0, termBegan(3)),
                  ),
                ),
                log.trimControl(1_000_000),
              ),
            ),
        ],
        ["a gateway takes the leader's lease", () => acquire("gateway", "leader")],
        ["a worker takes the leader's lease", () => acquire("w1", "leader")],
        ["a worker takes another's lease", () => acquire("w1", "w.w2")],
        ["a worker takes a lease whose name only begins like its own", () => acquire("w1", "w.w12")],
        [
          "a worker renews another's lease",
          () => Effect.flatMap(port("w1", Leases), (leases) => leases.renew(W2_LEASE, null)),
        ],
        [
          "a worker revokes another's lease",
          () => Effect.flatMap(port("w1", Leases), (leases) => leases.revoke(W2_LEASE)),
        ],
        [
          "a worker releases another's lease",
          () => Effect.flatMap(port("w1", Leases), (leases) => leases.release(W2_LEASE)),
        ],
        [
          "a worker writes another's entry",
          () => Effect.flatMap(port("w1", Workers), (workers) => workers.put(workerInfo({ worker: "w2" }))),
        ],
        [
          "a worker pulls from another pool",
          () => Effect.flatMap(port("w1", Queue), (queue) => queue.pull("other", 1, 0)),
        ],
        ["a worker wakes itself", () => Effect.flatMap(port("w1", Queue), (queue) => queue.publish([wakeUp("x")]))],
        [
          "a worker hears another's commands",
          () => Effect.flatMap(port("w1", Signals), (signals) => signals.subscribe(workerSubject("w2"), () => {})),
        ],
        [
          "a worker keeps a secret",
          () => Effect.flatMap(port("w1", Secrets), (secrets) => secrets.set("ann", "x", "y")),
        ],
        ["a worker removes a task's output", () => Effect.flatMap(port("w1", EventLog), (log) => log.purgeOutput("a"))],
        [
          "a gateway prints",
          () => Effect.flatMap(port("gateway", EventLog), (log) => log.appendOutput("a", printed("x"))),
        ],
        ["a gateway takes a wake-up", () => Effect.flatMap(port("gateway", Queue), (queue) => queue.pull("p", 1, 0))],
      ]
      it.each(FORBIDDEN)("%s", (_, attempt) =>
        isolate(
          Effect.gen(function* () {
            yield* open("leader")
            const error = yield* Effect.flip(attempt())
            expect(error).toMatchObject({ code: "CONFIG_INVALID", path: "nats" })
            expect(error.advice).toMatch(/(publish|subscribe) to "/)
          }),
        ),
      )

      const STREAMS = ["BERTH_prod_LOG", "BERTH_prod_QUEUE", "KV_BERTH_prod_LEASES"]
      const API = STREAMS.flatMap((stream) =>
        ["STREAM.DELETE", "STREAM.UPDATE", "STREAM.MSG.DELETE", "STREAM.RESTORE"].map(
          (question) => `$JS.API.${question}.${stream}`,
        ),
      )
      const ONLY_LEADER = STREAMS.flatMap((stream) =>
        ["STREAM.PURGE", "STREAM.CREATE"].map((question) => `$JS.API.${question}.${stream}`),
      )
      it.each([
        [
          "w1",
          [
            ...API,
            ...ONLY_LEADER,
            "$JS.API.CONSUMER.CREATE.KV_BERTH_prod_LEASES.x",
            "berth.prod.log.control",
            "$KV.BERTH_prod_LEASES.w.w2",
            "berth.prod.q.p.urgent.t",
            "berth.prod.bury",
            "_INBOX.x.y",
          ],
        ],
        [
          "gateway",
          [
            ...API,
            ...ONLY_LEADER,
            "berth.prod.log.control",
            "$KV.BERTH_prod_LEASES.leader",
            "$KV.BERTH_prod_WORKERS.w1",
            "_INBOX.x.y",
          ],
        ],
        ["leader", [...API, "$JS.API.STREAM.CREATE.OTHER", "$JS.API.ACCOUNT.PURGE.A"]],
      ] as const)("PE3 %s asks the broker itself", (who, subjects) =>
        isolate(
          Effect.gen(function* () {
            const connection = yield* raw(who)
            for (const subject of subjects) {
              const exit = yield* Effect.exit(
                Effect.tryPromise(() => connection.request(subject, "{}", { timeout: 3_000 })),
              )
              expect(Exit.isFailure(exit) && String(exit.cause), subject).toMatch(/Permissions Violation/i)
            }
          }),
        ),
      )

      it("PE1 a worker has the broker copy a message into another's lease", () =>
        isolate(
          Effect.gen(function* () {
            const leases = yield* port("leader", Leases)
            const held = yield* leases.acquire("w.w2", "w2", null)
            const connection = yield* raw("w1")
            yield* Effect.promise(() => jetstream(connection).publish("berth.prod.log.t.evil.o", "forged"))
            const config = {
              name: "copy",
              deliver_subject: "$KV.BERTH_prod_LEASES.w.w2",
              ack_policy: "none",
              deliver_policy: "all",
            }
            const request = JSON.stringify({ stream_name: "BERTH_prod_LOG", config })
            yield* Effect.promise(() => connection.request("$JS.API.CONSUMER.CREATE.BERTH_prod_LOG.copy", request))
            yield* Effect.sleep(SILENCE_MS)
            expect(yield* leases.read("w.w2")).toEqual(held)
            yield* leases.release(held)
            const { streams } = yield* rig.manager
            yield* Effect.promise(() => streams.purge("BERTH_prod_LOG", { filter: "berth.prod.log.t.evil.o" }))
          }),
        ))

      it("PE2 somebody asks the leader to bury a task that is alive", () =>
        isolate(
          Effect.gen(function* () {
            const log = yield* port("leader", EventLog)
            const seq = yield* log.append(stateSubject("alive"), 0, submitted({ id: "alive" }))
            const connection = yield* raw("gateway")
            for (const [taskId, at] of [
              ["alive", seq],
              ["alive", seq + 1],
              [">", 1],
              ["x", -1],
            ] as const) {
              const bytes = encodePayload({ taskId, seq: at })
              const answer = yield* Effect.promise(() =>
                connection.request("berth.prod.bury", bytes, { timeout: 5_000 }),
              )
              expect(answer.string()).toBe("-ERR")
            }
            expect((yield* log.last("alive"))?.seq).toBe(seq)
          }),
        ))
    })

    it("a node of two roles may do what either may", () =>
      isolate(
        Effect.gen(function* () {
          const log = yield* port("both", EventLog)
          yield* log.append("control", (yield* log.lastControl)?.seq ?? 0, termBegan(5))
          yield* (yield* port("both", Secrets)).set("ann", "x", "y")
        }),
      ))

    it("an operator still sees it all", () =>
      isolate(
        Effect.gen(function* () {
          const { streams } = yield* rig.manager
          const names = yield* Effect.promise(() => streams.names().next())
          expect(names).toHaveLength(6)
        }),
      ))
  })

contracts("newest")
contracts("2.10")
