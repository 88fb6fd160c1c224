/** Who may connect how, and what each thing that is wrong is called. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { nkeys } from "@nats-io/transport-node"
import { Context, Effect } from "effect"
import { afterAll, describe, expect, it } from "vitest"
import type { BerthError } from "../../core/errors.ts"
import { EventLog } from "../../core/ports/eventLog.ts"
import { Queue } from "../../core/ports/queue.ts"
import { Signals } from "../../core/ports/signals.ts"
import { stateSubject } from "../../core/record.ts"
import type { JetstreamOptions } from "../../store/jetstream/index.ts"
import { isolate } from "../support/effect.ts"
import { NatsRig } from "../support/nats.ts"
import { describeWithNats } from "../support/require.ts"
import { submitted } from "../support/task.ts"
import { until } from "../support/until.ts"

const TLS = join(import.meta.dirname, "../support/tls")
const CA = join(TLS, "ca.pem")
const OURS = { ca: CA, cert: join(TLS, "client.pem"), key: join(TLS, "client-key.pem") }
const FILES = mkdtempSync(join(tmpdir(), "berth-keys-"))
afterAll(() => rmSync(FILES, { recursive: true, force: true }))

const file = (name: string, content: string): string => {
  const path = join(FILES, name)
  writeFileSync(path, content)
  return path
}

/** Opens the ports and appends; gives what went wrong, or null. */
const failure = (rig: NatsRig, options: Partial<JetstreamOptions>): Effect.Effect<BerthError | null> =>
  Effect.scoped(
    Effect.flatMap(rig.open(options), (ports) =>
      Context.get(ports, EventLog).append(stateSubject("a"), 0, submitted({ id: "a" })),
    ),
  ).pipe(
    Effect.as(null),
    Effect.catch((error) => Effect.succeed(error)),
  )

const works = (rig: NatsRig, options: Partial<JetstreamOptions>) => () =>
  isolate(Effect.map(failure(rig, options), (error) => expect(error).toBeNull()))

const fails =
  (rig: NatsRig, options: Partial<JetstreamOptions>, expected: Partial<BerthError>, hint = /./) =>
  () =>
    isolate(
      Effect.map(failure(rig, options), (error) => {
        expect(error).toMatchObject(expected)
        expect(error?.advice).toMatch(hint)
      }),
    )

describeWithNats("connecting to a broker", "newest", (server) => {
  describe("that knows users", () => {
    const seed = new TextDecoder().decode(nkeys.createUser().getSeed())
    const nkey = nkeys.fromSeed(new TextEncoder().encode(seed)).getPublicKey()
    const rig = new NatsRig(server, {
      operator: { name: "ann", password: "p@ss" },
      lines: [
        "authorization { users: [",
        '{user: ann, password: "p@ss"}',
        `{nkey: ${nkey}}`,
        "{user: half, password: h, permissions: {publish: {deny: [",
        '"berth.*.log.>", "$JS.API.CONSUMER.MSG.NEXT.>", "berth.*.sig.>"]}, subscribe: {deny: ["berth.*.sig.no"]}}}',
        '{user: none, password: n, permissions: {publish: {deny: ["$JS.>"]}}}',
        "]}",
      ],
    })
    const UNKNOWN = { code: "CONFIG_INVALID", path: "nats.credentials" } as const

    it("takes a user and password", works(rig, { user: { name: "ann", password: "p@ss" } }))

    it("takes them from the address", () => {
      const address = rig.servers.map((url) => url.replace("//", "//ann:p%40ss@"))
      return isolate(
        Effect.scoped(Effect.map(rig.open({ servers: address, user: undefined as never }), () => undefined)),
      )
    })

    it("takes an nkey's seed from a file", () =>
      works(rig, { user: undefined as never, nkeyFile: file("seed.nk", `${seed}\n`) })())

    it(
      "says of a wrong password that the user is not known",
      fails(rig, { user: { name: "ann", password: "x" } }, UNKNOWN, /password/),
    )

    it("says the same of nobody", fails(rig, { user: undefined as never }, UNKNOWN))

    it(
      "names a file that is not there",
      fails(
        rig,
        { user: undefined as never, nkeyFile: "/nowhere/seed" },
        { code: "CONFIG_INVALID", path: "nats.nkeyFile" },
      ),
    )

    it("names a file without a key in it", () =>
      fails(
        rig,
        { user: undefined as never, credentialsFile: file("bad.creds", "nothing") },
        { code: "CONFIG_INVALID", path: "nats.credentialsFile" },
      )())

    it("does not choose between two", fails(rig, { token: "t" }, UNKNOWN))

    it(
      "names the subject that the user may not publish to",
      fails(
        rig,
        { user: { name: "half", password: "h" } },
        { code: "CONFIG_INVALID", path: "nats" },
        /publish to "berth\.\w+\.log\.t\.a\.s"/,
      ),
    )

    it(
      "names the part of the interface that the user may not ask",
      fails(rig, { user: { name: "none", password: "n" } }, { code: "CONFIG_INVALID", path: "nats" }, /\$JS\.API/),
    )

    it("says at once that a pull is not allowed, and that listening is not", () =>
      isolate(
        Effect.gen(function* () {
          const notices: string[] = []
          const options = { user: { name: "half", password: "h" }, notice: (what: string) => void notices.push(what) }
          const ports = yield* rig.open(options)
          const pulled = yield* Effect.flip(Context.get(ports, Queue).pull("p", 1, 0))
          expect(pulled).toMatchObject({ code: "CONFIG_INVALID" })
          expect(pulled.advice).toContain("$JS.API.CONSUMER.MSG.NEXT.")
          const signals = Context.get(ports, Signals)
          const deaf = yield* Effect.flip(signals.subscribe("no", () => {}))
          expect(deaf).toMatchObject({ code: "CONFIG_INVALID" })
          expect(deaf.advice).toMatch(/subscribe to "berth\.\w+\.sig\.no"/)
          yield* signals.publish("lost", 1)
          yield* signals.subscribe("yes", () => {})
          const said = (): boolean => notices.some((line) => /Publish to "berth\.\w+\.sig\.lost"/.test(line))
          yield* Effect.promise(() => until(said))
        }),
      ))
  })

  describe("over TLS", () => {
    const side = `cert_file: "${join(TLS, "server.pem")}", key_file: "${join(TLS, "server-key.pem")}"`
    const rig = new NatsRig(server, {
      operator: { name: "ann", password: "p" },
      lines: [`tls { ${side} }`, "authorization { users: [{user: ann, password: p}] }"],
    })
    const strict = new NatsRig(server, { lines: [`tls { ${side}, ca_file: "${CA}", verify: true }`] })
    const plain = new NatsRig(server)
    const UNTRUSTED = { code: "CONFIG_INVALID", path: "nats.tls" } as const

    it("trusts a server that the given authority signed", works(rig, { tls: { ca: CA } }))

    it("trusts no other", fails(rig, {}, UNTRUSTED, /authority/))

    it("shows its own certificate where the server asks for one", works(strict, { tls: OURS }))

    it("says what may be missing where it has none to show", () =>
      fails(strict, { tls: { ca: CA } }, { code: "STORE_UNAVAILABLE", path: "nats.tls" }, /cert and key/)())

    it("never goes on without TLS where TLS was asked for", fails(plain, { tls: { ca: CA } }, UNTRUSTED, /TLS/))

    it(
      "does not take a server that is not there for one without TLS",
      fails(plain, { servers: ["127.0.0.1:1"], tls: { ca: CA } }, { code: "STORE_UNAVAILABLE" }),
    )

    it("takes `tls://` for asking", () =>
      fails(plain, { servers: plain.servers.map((url) => url.replace("nats:", "tls:")) }, UNTRUSTED)())

    it(
      "names a certificate that is not there",
      fails(rig, { tls: { ca: "/nowhere/ca.pem" } }, { code: "CONFIG_INVALID", path: "nats.tls.ca" }),
    )

    it("wants certificate and key together", fails(rig, { tls: { ca: CA, cert: OURS.cert } }, UNTRUSTED))
  })

  describe("without JetStream", () => {
    const rig = new NatsRig(server, { jetstream: false })
    it("says so, and how to turn it on", fails(rig, {}, { code: "CONFIG_INVALID" }, /jetstream \{\}/))
  })

  describe("with JetStream for another account alone", () => {
    const rig = new NatsRig(server, {
      operator: { name: "ann", password: "p" },
      lines: [
        "accounts { A { users: [{user: ann, password: p}] }, B { jetstream: enabled, users: [{user: bob, password: p}] } }",
      ],
    })
    it("says so, and how to turn it on", fails(rig, {}, { code: "CONFIG_INVALID" }, /account/))
  })

  describe("with streams of its own mind", () => {
    const rig = new NatsRig(server)
    const cluster = "one"

    it(
      "asks a server that is alone for no replicas",
      fails(rig, { replicas: 3 }, { code: "CONFIG_INVALID", path: "replicas" }),
    )

    it("leaves replicas as they are where nobody asks for any, and never changes them", () =>
      isolate(
        Effect.gen(function* () {
          expect(yield* failure(rig, { cluster, replicas: 1 })).toBeNull()
          expect(yield* failure(rig, { cluster, replicas: 3 })).toMatchObject({
            code: "CONFIG_INVALID",
            path: "replicas",
          })
          expect(yield* failure(rig, { cluster, replicas: undefined as never })).toMatchObject({
            code: "VERSION_CONFLICT",
          })
        }),
      ))
  })
})
