#!/usr/bin/env node
import { join } from "node:path"
import type { Reporter } from "./outcome.ts"
import { provideUnderLock } from "./provide.ts"
import { parseRequest, required } from "./request.ts"
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

const main = async (): Promise<number> => {
  const request = parseRequest(process.argv.slice(2), required())
  if (typeof request === "string") {
    process.stderr.write(`provision: ${request}\n`)
    return 2
  }
  const lock = { file: join(stateDir(), "provision.lock"), waitMsMax: LOCK_WAIT_MS }
  const { ok, outcomes } = await provideUnderLock(request, reporter(request.json), lock)
  if (request.json) {
    const steps = outcomes.map(({ what, status, detail }) => ({ what, status, detail }))
    process.stdout.write(`${JSON.stringify({ ok, steps })}\n`)
  }
  return ok ? 0 : 1
}

process.exitCode = await main()
