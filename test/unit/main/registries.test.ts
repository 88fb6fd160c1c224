/** As whom are images pulled, and are they? */
import { chmodSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Fiber } from "effect"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import type { Program } from "../../../core/task/spec.ts"
import { makeExecutors } from "../../../gateway/main/executors.ts"
import { registriesOf, registryOf } from "../../../gateway/main/registries.ts"
import { codeOf } from "../../support/code.ts"
import { liveClock, noFailpoints, seededRandom } from "../../support/clock.ts"
import { jobOf } from "../../support/executorJob.ts"
import { openFakeRegistry, type FakeRegistry } from "../../support/fakeRegistry.ts"
import { memorySecrets } from "../../support/secrets.ts"
import { until } from "../../support/until.ts"

const auth = (user: string, password: string) => ({ auth: Buffer.from(`${user}:${password}`).toString("base64") })
/** The host that `docker login` writes for Docker Hub. */
const HUB_LOGIN = ["index", "docker.io"].join(".")
let folder: string
let path: string
let registry: FakeRegistry
let written = 0
/** Each file is a second newer than the one before, whatever the file system's clock can tell. */
const write = (content: unknown): void => {
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content))
  written += 1
  utimesSync(path, 1_750_000_000 + written, 1_750_000_000 + written)
}
const logins = () => registriesOf({ BERTH_REGISTRY_AUTH: path }).registryLogin

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "berth-registries-"))
  path = join(folder, "config.json")
  registry = await openFakeRegistry()
})
afterEach(async () => {
  rmSync(folder, { recursive: true, force: true })
  await registry.close()
})

describe("the registry of an image", () => {
  it.each([
    ["debian", "docker.io"],
    ["debian:12-slim", "docker.io"],
    ["team/app:1", "docker.io"],
    ["docker.io/library/debian", "docker.io"],
    [`${HUB_LOGIN}/library/debian`, "docker.io"],
    ["notdocker.io/debian", "notdocker.io"],
    ["ghcr.io/team/app@sha256:00", "ghcr.io"],
    ["localhost/app", "localhost"],
    ["localhost:5000/app", "localhost:5000"],
    ["registry.example:5000/a/b/c", "registry.example:5000"],
  ])("of %s is %s", (image, host) => expect(registryOf(image)).toBe(host))
})

describe("the file of logins", () => {
  it("gives each registry its own login, and others none", () => {
    write({
      auths: {
        [`https://${HUB_LOGIN}/v1/`]: auth("hub", "p1"),
        "ghcr.io": auth("team", "p:2"),
        "http://localhost:5000": auth("me", "p3"),
      },
    })
    const loginOf = logins()
    expect(loginOf("debian")).toMatchObject({ username: "hub", password: "p1" })
    expect(loginOf("ghcr.io/team/app:1")).toEqual({ username: "team", password: "p:2", serveraddress: "ghcr.io" })
    expect(loginOf("localhost:5000/app")).toMatchObject({ username: "me", password: "p3" })
    expect(loginOf("ghcr.io.evil.example/app")).toBeNull()
    expect(registriesOf({}).registryLogin("debian")).toBeNull()
  })

  it("RG2 is read again when it changed, and kept when it became unreadable", () => {
    write({ auths: { "ghcr.io": auth("old", "1") } })
    const loginOf = logins()
    write({ auths: { "ghcr.io": auth("new", "2") } })
    expect(loginOf("ghcr.io/a")?.username).toBe("new")
    write("{ half a fi")
    expect(loginOf("ghcr.io/a")?.username).toBe("new")
    rmSync(path)
    expect(loginOf("ghcr.io/a")?.username).toBe("new")
    write({ auths: { "ghcr.io": auth("newest", "3") } })
    expect(loginOf("ghcr.io/a")?.username).toBe("newest")
  })

  it("RG1 that is none stops the start, and what it holds is not repeated", () => {
    const wrong = ["canary", '{"canary', { canary: 1 }, { auths: { "ghcr.io": { auth: "canary" } } }, { auths: [] }]
    for (const content of wrong) {
      write(content)
      const failure = Effect.runSync(Effect.flip(Effect.try({ try: logins, catch: (cause) => cause as Error })))
      expect(failure).toMatchObject({ code: "CONFIG_INVALID", path: "BERTH_REGISTRY_AUTH" })
      expect(JSON.stringify([failure.message, failure.cause])).not.toContain("canary")
    }
    expect(() => registriesOf({ BERTH_REGISTRY_AUTH: join(folder, "nowhere") })).toThrow("cannot be read")
    expect(() => registriesOf({ BERTH_PULL: "always" })).toThrow("BERTH_PULL")
  })
})

describe("a server", () => {
  const program: Program = {
    kind: "image",
    image: "ghcr.io/team/private:1",
    command: ["true"],
    args: [],
    env: {},
    stdin: null,
    files: [],
    secrets: [],
  }
  const create = (environment: Readonly<Record<string, string>>, pullMsMax = 60_000) => {
    const set = makeExecutors({
      name: "docker",
      engine: registry.host,
      handlers: {},
      clusterId: "c",
      worker: "w",
      pool: "default",
      hostId: "h",
      dataDir: folder,
      secret: new Uint8Array(32),
      path: "",
      clock: liveClock,
      random: seededRandom(1),
      failpoints: noFailpoints,
      secrets: memorySecrets(),
      telemetry: { count: () => {}, observe: () => {} },
      config: { pullMsMax, pullsAtOnce: 1 },
      registries: registriesOf(environment),
    })
    const executor = set.all.find(({ name }) => name === "docker")
    const made = executor?.create(jobOf(program, "t1")) ?? Effect.die("there is no docker executor")
    return Effect.runFork(Effect.ensuring(codeOf(made), Effect.sync(set.close)))
  }
  const end = (fiber: ReturnType<typeof create>) => Effect.runPromise(Fiber.join(fiber))

  it("pulls what its engine lacks, as the one whom the file names", async () => {
    write({ auths: { "ghcr.io": auth("team", "of the registry") } })
    chmodSync(path, 0o600)
    const creating = create({ BERTH_REGISTRY_AUTH: path })
    await until(() => registry.pulls.length === 1, "a pull")
    expect(registry.pulls[0]).toMatchObject({
      image: "ghcr.io/team/private:1",
      login: { username: "team", password: "of the registry", serveraddress: "ghcr.io" },
    })
    registry.pulls[0]?.say({ error: "denied" })
    registry.pulls[0]?.end()
    expect(await end(creating)).toBe("IMAGE_NOT_FOUND")
  })

  it("pulls nothing with BERTH_PULL=never, and for no longer than it may", async () => {
    expect(await end(create({ BERTH_PULL: "never" }))).toBe("IMAGE_NOT_FOUND")
    expect(registry.pulls).toEqual([])
    const late = create({}, 50)
    await until(() => registry.pulls.length === 1, "a pull")
    expect(registry.pulls[0]?.login).toBeNull()
    registry.pulls[0]?.say({ status: "Downloading" })
    expect(await end(late)).toBe("IMAGE_NOT_FOUND")
  })
})
