/** A broker in operator mode: who trusts whom is said by signed tokens, and a user comes with a `.creds` file. */
import { randomUUID } from "node:crypto"
import { nkeys } from "@nats-io/transport-node"

type KeyPair = ReturnType<typeof nkeys.createUser>

const ANY = -1
const NO_STREAMS = {
  subs: ANY,
  data: ANY,
  payload: ANY,
  imports: ANY,
  exports: ANY,
  conn: ANY,
  leaf: ANY,
  wildcards: true,
}
const UNLIMITED = { ...NO_STREAMS, mem_storage: ANY, disk_storage: ANY, streams: ANY, consumer: ANY }

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url")

/** A token of the form that nats-server reads: claims of the subject, signed with the issuer's nkey. */
function signed(issuer: KeyPair, subject: KeyPair, name: string, nats: Readonly<Record<string, unknown>>): string {
  const claims = {
    jti: randomUUID(),
    iat: Math.floor(Date.now() / 1_000),
    iss: issuer.getPublicKey(),
    sub: subject.getPublicKey(),
    name,
    nats: { ...nats, version: 2 },
  }
  const text = `${part({ typ: "JWT", alg: "ed25519-nkey" })}.${part(claims)}`
  return `${text}.${Buffer.from(issuer.sign(Buffer.from(text))).toString("base64url")}`
}

export interface OperatorMode {
  /** Lines of the server's configuration. */
  readonly lines: readonly string[]
  /** What a `.creds` file of a new user of the account holds. */
  readonly creds: (
    name: string,
    may: { readonly publish: readonly string[]; readonly subscribe: readonly string[] },
  ) => string
}

/** An operator, one account that may use JetStream without bound, and the servers' own, which JetStream needs here. */
export function operatorMode(): OperatorMode {
  const operator = nkeys.createOperator()
  const account = nkeys.createAccount()
  const system = nkeys.createAccount()
  const ofAccount = signed(operator, account, "berth", { type: "account", limits: UNLIMITED })
  const ofSystem = signed(operator, system, "SYS", { type: "account", limits: NO_STREAMS })
  return {
    lines: [
      `operator: ${signed(operator, operator, "operator", { type: "operator" })}`,
      "resolver: MEMORY",
      `system_account: ${system.getPublicKey()}`,
      `resolver_preload: { ${account.getPublicKey()}: ${ofAccount}, ${system.getPublicKey()}: ${ofSystem} }`,
    ],
    creds: (name, { publish, subscribe }) => {
      const user = nkeys.createUser()
      const limits = { subs: ANY, data: ANY, payload: ANY }
      const may = { pub: { allow: publish }, sub: { allow: subscribe } }
      return [
        "-----BEGIN NATS USER JWT-----",
        signed(account, user, name, { type: "user", ...limits, ...may }),
        "------END NATS USER JWT------",
        "",
        "-----BEGIN USER NKEY SEED-----",
        new TextDecoder().decode(user.getSeed()),
        "------END USER NKEY SEED------",
        "",
      ].join("\n")
    },
  }
}
