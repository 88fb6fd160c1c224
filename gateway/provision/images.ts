import { createHash } from "node:crypto"
import { RUNTIMES, type Runtime } from "../../core/runtime/catalogue.ts"
import { isDebianRoot } from "./debian.ts"
import { callEngine, progressError } from "./engineClient.ts"
import type { FoundEngine } from "./engine.ts"
import { type Outcome, type Reporter, reasonOf } from "./outcome.ts"
import { buildImage, type Recipe } from "./rootfs.ts"
import { smokeTest } from "./smoke.ts"

/** What demo and tests run for real. */
export const DEFAULT_RUNTIMES: readonly string[] = ["python", "node", "bash", "perl", "c"]

const RECIPE_LABEL = "berth.recipe"
/** Raise it when the way of building changes, so that images built the old way are built again. */
const BUILDER = 1
const CALL_MS = 10_000
const PULL_MS = 5 * 60_000
/** How long the first pull may take to show that a registry answers. */
const PROBE_MS = 20_000
/** Building is bound by the processor (xz) more than by the network. */
const BUILDS_MAX = 2

/** One local image and the runtimes that share it. */
interface Wanted {
  readonly localImage: string
  readonly runtimes: readonly Runtime[]
  readonly recipe: Recipe
  readonly recipeHash: string
}

/** Changes whenever the image would be built differently. */
export const recipeHash = (recipe: Recipe): string =>
  createHash("sha256")
    .update(JSON.stringify([BUILDER, recipe.packages, recipe.links]))
    .digest("hex")
    .slice(0, 16)

const wantedImages = (names: readonly string[]): readonly Wanted[] => {
  const chosen = RUNTIMES.filter((runtime) => names.includes(runtime.name))
  return [...new Set(chosen.map((runtime) => runtime.localImage))].map((localImage) => {
    const runtimes = RUNTIMES.filter((runtime) => runtime.localImage === localImage)
    const recipe = {
      packages: [...new Set(runtimes.flatMap((runtime) => runtime.debianPackages))].sort(),
      links: Object.assign({}, ...runtimes.map((runtime) => runtime.localLinks)) as Recipe["links"],
    }
    return { localImage, runtimes, recipe, recipeHash: recipeHash(recipe) }
  })
}

/** Every tag that the engine has, with the recipe that its image was built from. */
const presentImages = async (engine: FoundEngine): Promise<ReadonlyMap<string, string | undefined>> => {
  const reply = await callEngine(engine.address, { method: "GET", path: "/images/json", timeoutMs: CALL_MS })
  const listed = JSON.parse(reply.text) as readonly {
    readonly RepoTags: readonly string[] | null
    readonly Labels: Readonly<Record<string, string>> | null
  }[]
  return new Map(
    listed.flatMap((image) => (image.RepoTags ?? []).map((tag) => [tag, image.Labels?.[RECIPE_LABEL]] as const)),
  )
}

const pull = async (engine: FoundEngine, image: string, timeoutMs: number): Promise<string | null> => {
  const colon = image.lastIndexOf(":")
  const query = [["fromImage", image.slice(0, colon)] as const, ["tag", image.slice(colon + 1)] as const]
  try {
    return progressError(await callEngine(engine.address, { method: "POST", path: "/images/create", query, timeoutMs }))
  } catch (error) {
    return reasonOf(error)
  }
}

/** Asks the engine's registry for one image's description, which moves no layer. An engine without the call is taken to have one. */
const registryAnswers = async (engine: FoundEngine, image: string): Promise<boolean> => {
  try {
    const call = { method: "GET", path: `/distribution/${image}/json`, timeoutMs: PROBE_MS } as const
    return (await callEngine(engine.address, call)).status < 500
  } catch {
    return false
  }
}

const verified = async (engine: FoundEngine, wanted: Wanted, image: string): Promise<string | null> => {
  for (const runtime of wanted.runtimes) {
    if (image !== runtime.image && image !== runtime.localImage) continue
    const problem = await smokeTest(engine, runtime, image)
    if (problem !== null) return problem
  }
  return null
}

const provideOne = async (
  engine: FoundEngine,
  wanted: Wanted,
  hasRegistry: boolean,
  report: Reporter,
): Promise<Outcome> => {
  const official = [...new Set(wanted.runtimes.map((runtime) => runtime.image))]
  const what = `image for ${wanted.runtimes.map((runtime) => runtime.name).join(", ")}`
  if (hasRegistry) {
    report.note(`pulling ${official.join(", ")}`)
    const problems: string[] = []
    for (const image of official) {
      const problem = (await pull(engine, image, PULL_MS)) ?? (await verified(engine, wanted, image))
      if (problem !== null) problems.push(`${image}: ${problem}`)
    }
    if (problems.length === 0) return { what, status: "made", detail: `${official.join(", ")}, pulled` }
    report.note(problems.join("; "))
  }
  if (!isDebianRoot()) {
    return {
      what,
      status: "missing",
      detail: `docker pull ${official.join(" ")} (no registry answers; building needs root on Debian)`,
    }
  }
  report.note(`building ${wanted.localImage} from Debian packages: ${wanted.recipe.packages.join(" ")}`)
  const labels = { [RECIPE_LABEL]: wanted.recipeHash }
  const problem =
    (await buildImage(engine, wanted.localImage, wanted.recipe, labels)) ??
    (await verified(engine, wanted, wanted.localImage))
  if (problem !== null) return { what, status: "failed", detail: `${wanted.localImage}: ${problem}` }
  return { what, status: "made", detail: `${wanted.localImage}, built from Debian packages` }
}

/** What is there of the images that `names` need; null in the place of one that must be got. */
const look = async (engine: FoundEngine, wanted: readonly Wanted[]): Promise<readonly (Outcome | null)[]> => {
  const present = await presentImages(engine)
  return wanted.map(({ localImage, recipeHash: hash, runtimes }) => {
    const what = `image for ${runtimes.map((runtime) => runtime.name).join(", ")}`
    if (runtimes.every((runtime) => present.has(runtime.image))) {
      return { what, status: "present", detail: [...new Set(runtimes.map((runtime) => runtime.image))].join(", ") }
    }
    return present.get(localImage) === hash ? { what, status: "present", detail: localImage } : null
  })
}

/** Whether all images that these runtimes need are there; one call of the engine. */
export const imagesPresent = async (engine: FoundEngine, names: readonly string[]): Promise<boolean> =>
  (await look(engine, wantedImages(names))).every((outcome) => outcome !== null)

/** Finds, pulls or builds what these runtimes need: official images where a registry answers, small local ones elsewhere. */
export const provideImages = async (
  engine: FoundEngine,
  names: readonly string[],
  report: Reporter,
): Promise<readonly Outcome[]> => {
  const wanted = wantedImages(names)
  const found = await look(engine, wanted)
  const toGet = wanted.filter((_, index) => found[index] === null)
  const first = toGet[0]?.runtimes[0]
  const hasRegistry = first !== undefined && (await registryAnswers(engine, first.image))
  const outcomes = found.filter((outcome) => outcome !== null)
  for (const outcome of outcomes) report.outcome(outcome)
  const queue = [...toGet]
  const work = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const outcome = await provideOne(engine, next, hasRegistry, report)
      report.outcome(outcome)
      outcomes.push(outcome)
    }
  }
  await Promise.all(Array.from({ length: BUILDS_MAX }, work))
  return outcomes
}
