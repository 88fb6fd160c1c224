/** What the shipped permissions refuse on a real server, through the ports and beside them, and how that is said. */
import { jetstream } from "@nats-io/jetstream"
import { Effect, Exit, type Scope } from "effect"
import { expect, it } from "vitest"
import type { BerthError } from "../../core/errors.ts"
import { EventLog } from "../../core/ports/eventLog.ts"
import { Leases } from "../../core/ports/leases.ts"
import { Queue } from "../../core/ports/queue.ts"
import { Secrets } from "../../core/ports/secrets.ts"
import { Signals, workerSubject } from "../../core/ports/signals.ts"
import { Workers } from "../../core/ports/workers.ts"
import { stateSubject } from "../../core/record.ts"
import type { NatsSeries } from "../../gateway/provision/nats.ts"
import { encodePayload } from "../../store/shared/payload.ts"
import { brokerUsers, wakeUp, type Who } from "../support/brokerUsers.ts"
import { isolate } from "../support/effect.ts"
import { describeWithNats } from "../support/require.ts"
import { printed, submitted, termBegan } from "../support/task.ts"
import { workerInfo } from "../support/actorRig.ts"

const SILENCE_MS = 500

const contracts = (series: NatsSeries): void =>
  describeWithNats(`beyond the permissions on the ${series} server`, series, (server) => {
    const { open, port, raw, rig } = brokerUsers(server)
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
          Effect.gen(function* () {
            const leader = yield* port("leader", EventLog)
            const begin = Effect.flatMap(leader.lastControl, (last) =>
              leader.append("control", last?.seq ?? 0, termBegan(3)),
            )
            yield* begin
            yield* (yield* port("gateway", EventLog)).trimControl(yield* begin)
          }),
      ],
      ["a gateway takes the leader's lease", () => acquire("gateway", "leader")],
      ["a worker takes the leader's lease", () => acquire("w1", "leader")],
      ["a worker takes another's lease", () => acquire("w1", "w.w2")],
      ["a worker tells that another node is there", () => acquire("w1", "n.w2.1")],
      ["a gateway tells that a named worker's node is there", () => acquire("gateway", "n.w1.1")],
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
      ["a worker keeps a secret", () => Effect.flatMap(port("w1", Secrets), (secrets) => secrets.set("ann", "x", "y"))],
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
    ] as const)("%s asks the broker itself (PE3)", (who, subjects) =>
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

    it("a worker has the broker copy a message into another's lease (PE1)", () =>
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

    it("somebody asks the leader to bury a task that is alive (PE2)", () =>
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
            const answer = yield* Effect.promise(() => connection.request("berth.prod.bury", bytes, { timeout: 5_000 }))
            expect(answer.string()).toBe("-ERR")
          }
          expect((yield* log.last("alive"))?.seq).toBe(seq)
        }),
      ))
  })

contracts("newest")
contracts("2.10")
