#!/usr/bin/env node
import { join } from "node:path"
import { findDocker, provideEngine } from "./engine.ts"
import { imagesPresent, provideImages } from "./images.ts"
import { underLock } from "./lock.ts"
import { findNats, provideNats, serves } from "./nats.ts"
import { isThere, type Outcome, type Reporter } from "./outcome.ts"
import { type ProvisionRequest, parseRequest, required } from "./request.ts"
import { stateDir } from "./stateDir.ts"

/**
 * `npm run provision [-- [--all] [--no-nats] [--json] [NAME…]]`: finds what Berth needs, or gets it.
 *
 * A NAME is a runtime, `nats` (the newest server at hand), or `nats-2.10`. Without names: an engine, the images of the
 * runtimes that demo and tests use, and both servers, unless `--no-nats` leaves them out. Exits 1 when something that was
 * named, here or by BERTH_REQUIRE, is not to be had; what nobody named may be missing, and the line says how to get it.
 */

const LOCK_WAIT_MS = 20 * 60_000

const reporter = (json: boolean): Reporter => ({
  note: (line) => void process.stderr.write(`  … ${line}\n`),
  outcome: ({ what, status, detail }) => {
    const mark = { present: "ok  ", made: "got ", missing: "miss", failed: "FAIL" }[status]
    if (!json) process.stdout.write(`${mark} ${what}: ${detail}\n`)
  },
})

/** Whether a glance shows that nothing is to be done; then nobody needs to wait for a lock. */
const isComplete = async (request: ProvisionRequest): Promise<boolean> => {
  if (request.runtimes.length > 0) {
    const engine = await findDocker()
    if (engine === null || !(await imagesPresent(engine, request.runtimes))) return false
  }
  if (request.nats.length === 0) return true
  const servers = await findNats()
  return request.nats.every((series) => servers.some((server) => serves(series, server)))
}

const provide = async (
  request: ProvisionRequest,
  report: Reporter,
): Promise<readonly (Outcome & { readonly strict: boolean })[]> => {
  const outcomes: (Outcome & { readonly strict: boolean })[] = []
  if (request.runtimes.length > 0) {
    const [outcome, engine] = await provideEngine(report)
    report.outcome(outcome)
    const images = engine === null ? [] : await provideImages(engine, request.runtimes, report)
    outcomes.push(...[outcome, ...images].map((each) => ({ ...each, strict: request.strict.docker })))
  }
  for (const series of request.nats) {
    const outcome = await provideNats(series, report)
    report.outcome(outcome)
    outcomes.push({ ...outcome, strict: request.strict.nats })
  }
  return outcomes
}

const main = async (): Promise<number> => {
  const request = parseRequest(process.argv.slice(2), required())
  if (typeof request === "string") {
    process.stderr.write(`provision: ${request}\n`)
    return 2
  }
  const report = reporter(request.json)
  const work = () => provide(request, report)
  const onWait = () => report.note("waiting for another provision to end")
  const lockFile = join(stateDir(), "provision.lock")
  const outcomes = (await isComplete(request)) ? await work() : await underLock(lockFile, LOCK_WAIT_MS, onWait, work)
  const ok = outcomes.every((outcome) => isThere(outcome) || !outcome.strict)
  if (request.json) {
    const steps = outcomes.map(({ what, status, detail }) => ({ what, status, detail }))
    process.stdout.write(`${JSON.stringify({ ok, steps })}\n`)
  }
  return ok ? 0 : 1
}

process.exitCode = await main()
