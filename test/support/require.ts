import { execFileSync } from "node:child_process"
import { describe, it } from "vitest"
import { findProgram, isDebianRoot } from "../../gateway/provision/debian.ts"
import { type FoundEngine, findDocker } from "../../gateway/provision/engine.ts"
import { type FoundNats, findNats, type NatsSeries, serves } from "../../gateway/provision/nats.ts"

/**
 * The one place that knows what a test may need from outside. What is missing is a skip that says why; where
 * BERTH_REQUIRE names it (`docker`, `nats`, `cc`, `script`, comma-separated) it is a failure.
 */
const required = new Set((process.env["BERTH_REQUIRE"] ?? "").split(",").map((name) => name.trim()))

type Needed = "docker" | "nats" | "cc" | "script"

const suite = <A>(title: string, name: Needed, found: A | null, hint: string, body: (found: A) => void): void => {
  if (found !== null) {
    describe(title, () => body(found))
    return
  }
  const reason = `${title}: needs ${name}, and ${hint}`
  if (required.has(name)) {
    it(reason, () => {
      throw new Error(`BERTH_REQUIRE names ${name}, but ${hint}`)
    })
    return
  }
  it.skip(reason, () => undefined)
}

const docker = await findDocker()
const servers = await findNats()

/** Registers a suite that needs a Docker engine with the images of `npm run provision`. */
export const describeWithDocker = (title: string, body: (engine: FoundEngine) => void): void =>
  suite(title, "docker", docker, "no engine answers; see npm run provision", body)

/** The engine, for a suite that asks less where there is none, and says so. */
export function engineIfAny(): FoundEngine | null {
  if (docker === null && required.has("docker")) throw new Error("BERTH_REQUIRE names docker, but no engine answers")
  return docker
}

/**
 * Registers a suite that needs a nats-server of the series.
 * @public
 */
export const describeWithNats = (title: string, series: NatsSeries, body: (server: FoundNats) => void): void => {
  const found = servers.find((server) => serves(series, server)) ?? null
  suite(title, "nats", found, `no server of series ${series} was found; see npm run provision -- nats nats-2.10`, body)
}

/** Registers a suite that runs something at a terminal: the one that util-linux' `script` makes, which other systems' does not. */
export const describeWithTerminal = (title: string, body: (script: string) => void): void =>
  suite(title, "script", process.platform === "linux" ? findProgram("script") : null, "there is no `script` here", body)

/** Registers a suite that lies to a process from outside, through a library that is compiled here. */
export const describeWithShim = (title: string, body: () => void): void =>
  suite(title, "cc", canCompile(), "there is no C compiler on a Linux here", body)

function canCompile(): true | null {
  if (process.platform !== "linux") return null
  try {
    execFileSync("cc", ["--version"], { stdio: "ignore" })
    return true
  } catch {
    return null
  }
}

/** Registers a suite that installs or starts something of its own. What it makes is as good as an engine that was required. */
export const describeAsDebianRoot = (title: string, body: () => void): void =>
  suite(title, "docker", isDebianRoot() ? true : null, "this is not root on Debian", body)
