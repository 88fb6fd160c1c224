/** The shipped cluster on paper: what compose.yaml says fits the program, and nats.conf what the program needs. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { parse } from "yaml"
import { type BrokerUser, permissionsOf, permissionsText } from "../../store/jetstream/permissions.ts"
import { fakeHost } from "../support/cliHost.ts"

const ROOT = join(import.meta.dirname, "../..")
const read = (name: string): string => readFileSync(join(ROOT, name), "utf8")

interface Service {
  readonly image: string
  readonly command: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly volumes: readonly string[]
  readonly secrets?: readonly string[]
  readonly networks: readonly string[]
  readonly depends_on?: readonly string[]
}
interface Compose {
  readonly services: Readonly<Record<string, Service>>
  readonly volumes: Readonly<Record<string, unknown>>
  readonly networks: Readonly<Record<string, unknown>>
  readonly secrets: Readonly<Record<string, unknown>>
}

const compose = parse(read("compose.yaml"), { merge: true }) as Compose
const conf = read("nats.conf")
const servicesOf = (names: readonly string[]): readonly (readonly [string, Service])[] =>
  names.map((name) => [name, compose.services[name] as Service])
const BROKERS = servicesOf(["n1", "n2", "n3"])
const GATEWAYS = servicesOf(["g1", "g2"])
const WORKERS = servicesOf(["w1", "w2"])

describe("compose.yaml", () => {
  it("has three brokers, two gateways and workers, and nothing that it names is missing", () => {
    expect(Object.keys(compose.services).sort()).toEqual(["g1", "g2", "n1", "n2", "n3", "w1", "w2"])
    for (const [name, service] of Object.entries(compose.services)) {
      for (const network of service.networks) expect(compose.networks, name).toHaveProperty(network)
      for (const secret of service.secrets ?? []) expect(compose.secrets, name).toHaveProperty(secret)
      for (const other of service.depends_on ?? []) expect(compose.services, name).toHaveProperty(other)
      const named = service.volumes.map((volume) => volume.split(":")[0] ?? "").filter((from) => /^\w/.test(from))
      expect(named, name).toEqual([name])
      expect(compose.volumes, name).toHaveProperty(name)
    }
  })

  it("starts nodes with words that `serve` knows", async () => {
    const host = fakeHost()
    await host.run("serve", "--help")
    const known = host.out()
    for (const [name, { command }] of [...GATEWAYS, ...WORKERS]) {
      expect(command[0]).toBe("serve")
      for (const word of command.filter((each) => each.startsWith("--")))
        expect(new RegExp(`${word} <`).test(known), `${name}: ${word}`).toBe(true)
    }
  })

  it("names each worker as its broker's user is named, and gives none the tokens' key", () => {
    for (const [name, { command, environment, secrets = [] }] of WORKERS) {
      expect(command[command.indexOf("--worker") + 1]).toBe(name)
      expect(environment?.["BERTH_NATS"]).toContain(`nats://${name}:`)
      expect(secrets).toEqual([])
    }
    for (const [, { secrets }] of GATEWAYS) expect(secrets).toEqual(["tokens"])
  })

  it("has each node listen where others of its network reach it, and answer to its name", () => {
    for (const [name, { command, environment, networks }] of [...GATEWAYS, ...WORKERS]) {
      expect(command[command.indexOf("--bind") + 1], name).toBe("0.0.0.0")
      expect(environment?.["BERTH_HOSTS"]?.split(","), name).toContain(name)
      expect(networks, name).toContain("broker")
    }
  })

  it("gives nats.conf every variable that it names", () => {
    const named = [...conf.replace(/#.*$/gm, "").matchAll(/(?<!")\$([A-Z]\w*)\b(?!\.)/g)].map((match) => match[1] ?? "")
    expect(named.length).toBeGreaterThan(8)
    for (const [, { environment }] of BROKERS) for (const name of named) expect(environment).toHaveProperty(name)
  })
})

describe("the Dockerfile", () => {
  it("makes the data folder for the user before it is declared a volume, which takes its owner from it", () => {
    const lines = read("Dockerfile").split("\n")
    const made = lines.findIndex((line) => /^RUN mkdir .*\/data && chown node:node \/data$/.test(line))
    const declared = lines.indexOf("VOLUME /data")
    expect(made).toBeGreaterThan(lines.lastIndexOf("FROM node:22-bookworm-slim"))
    expect(declared).toBeGreaterThan(made)
    expect(lines.indexOf("USER node")).toBeGreaterThan(declared)
  })
})

describe("nats.conf", () => {
  it("syncs always", () => expect(conf).toMatch(/^ {2}sync_interval: always$/m))

  it.each<readonly [string, readonly BrokerUser[]]>([
    ["gateway", [{ role: "gateway" }, { role: "leader" }]],
    ["w1", [{ role: "worker", worker: "w1", pool: "default" }]],
    ["w2", [{ role: "worker", worker: "w2", pool: "default" }]],
  ])("gives %s what its roles need, and nothing else", (user, roles) => {
    const block = conf.slice(conf.indexOf(`user: ${user}\n`))
    const permissions = permissionsText(permissionsOf("main", roles), "      ")
    expect(block.slice(block.indexOf("permissions: ") + 13).startsWith(`${permissions}\n    }`)).toBe(true)
  })
})
