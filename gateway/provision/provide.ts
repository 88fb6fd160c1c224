import { findDocker, provideEngine } from "./engine.ts"
import { imagesPresent, provideImages } from "./images.ts"
import { underLock } from "./lock.ts"
import { findNats, serves } from "./nats.ts"
import { isThere, type Outcome, reasonOf, type Reporter } from "./outcome.ts"
import { missingNats, provideNats } from "./provideNats.ts"
import type { ProvisionRequest } from "./request.ts"

const DOCKER = "docker engine and images"

/** Whether an engine and all images are there. An engine that answers nonsense shows none; getting them says why. */
const hasImages = async (runtimes: readonly string[]): Promise<boolean> => {
  const engine = await findDocker()
  return engine !== null && (await imagesPresent(engine, runtimes).catch(() => false))
}

/** Whether a glance shows that nothing is to be done; then nobody needs to wait for a lock. */
const isComplete = async (request: ProvisionRequest): Promise<boolean> => {
  if (request.runtimes.length > 0 && !(await hasImages(request.runtimes))) return false
  if (request.nats.length === 0) return true
  const servers = await findNats()
  return request.nats.every((series) => servers.some((server) => serves(series, server)))
}

/** Finds or gets the engine and its images. Never rejects. */
const provideDocker = async (runtimes: readonly string[], report: Reporter): Promise<readonly Outcome[]> => {
  if (runtimes.length === 0) return []
  const outcomes: Outcome[] = []
  try {
    const [outcome, engine] = await provideEngine(report)
    report.outcome(outcome)
    outcomes.push(outcome)
    if (engine !== null) outcomes.push(...(await provideImages(engine, runtimes, report)))
  } catch (error) {
    const outcome: Outcome = { what: DOCKER, status: "failed", detail: reasonOf(error) }
    report.outcome(outcome)
    outcomes.push(outcome)
  }
  return outcomes
}

interface Provided {
  readonly docker: readonly Outcome[]
  readonly nats: readonly Outcome[]
}

const provide = async (request: ProvisionRequest, report: Reporter): Promise<Provided> => ({
  docker: await provideDocker(request.runtimes, report),
  nats: await provideNats(request.nats, report),
})

/** Without the lock nothing may be made: what is there is found, and the rest is missing for that reason. */
const provideNothing = async (request: ProvisionRequest, report: Reporter, reason: string): Promise<Provided> => {
  const missing = (outcome: Outcome): readonly Outcome[] => {
    report.outcome(outcome)
    return [outcome]
  }
  const docker = { ...request, nats: [] }
  const nats: Outcome[] = []
  const found = (await isComplete(docker))
    ? await provideDocker(request.runtimes, report)
    : missing({ what: DOCKER, status: "missing", detail: reason })
  for (const series of request.nats) {
    const isFound = await isComplete({ ...request, runtimes: [], nats: [series] })
    nats.push(...(isFound ? await provideNats([series], report) : missing(missingNats(series, reason))))
  }
  return { docker: found, nats }
}

/**
 * Finds or gets what is asked for, while no other provision runs unless all is there. `ok` is whether all is there that
 * somebody asked for by name.
 */
export const provideUnderLock = async (
  request: ProvisionRequest,
  report: Reporter,
  lock: { readonly file: string; readonly waitMsMax: number },
): Promise<{ readonly ok: boolean; readonly outcomes: readonly Outcome[] }> => {
  const work = () => provide(request, report)
  const onWait = () => report.note("waiting for another provision to end")
  // The work does not reject, so what is caught is the lock's.
  const { docker, nats } = (await isComplete(request))
    ? await work()
    : await underLock(lock.file, lock.waitMsMax, onWait, work).catch((error: unknown) =>
        provideNothing(request, report, reasonOf(error)),
      )
  const ok = (docker.every(isThere) || !request.strict.docker) && (nats.every(isThere) || !request.strict.nats)
  return { ok, outcomes: [...docker, ...nats] }
}
