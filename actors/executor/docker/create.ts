import type { ContainerCreateOptions, ContainerInspectInfo } from "dockerode"
import { Effect, Fiber } from "effect"
import { type BerthError, berthError } from "../../../core/errors.ts"
import type { AttemptSink, Job, Placement } from "../../../core/ports/executor.ts"
import type { Isolation } from "../../../core/words.ts"
import { CALLS } from "./client.ts"
import type { Context } from "./context.ts"
import { effectivePolicy, profileError } from "./effective.ts"
import { chooseImage } from "./image.ts"
import { isolationsOf, runtimeOf } from "./isolation.ts"
import { containerName, LABEL } from "./names.ts"
import { containerProgram, type Plan, planOf } from "./plan.ts"
import { createOptions, PROFILE_VERSION } from "./profile.ts"
import type { Tell } from "./pull.ts"
import { uidOf } from "./uids.ts"

/**
 * Makes an attempt's container and starts nothing (EX1).
 *
 *   CR1. The name is deterministic, so create may be repeated: a container of that name which is ours and was never started
 *        is used; any other one is removed first, because no two runs share a container.
 *   CR2. What was created is read back and compared before it is used; if anything differs, it is removed.
 *   CR3. Who is interrupted waits for no engine: what the engine was asked to make is removed as soon as it is there.
 */

interface Wall {
  /** The engine's name for the runtime of the class that the task asks for. */
  readonly runtime: string
  readonly apparmor: boolean
}

/** An engine that seems to lack the class is asked once more: it may have been started again with it. */
const wallFor = (ctx: Context, isolation: Isolation): Effect.Effect<Wall, BerthError> =>
  Effect.gen(function* () {
    let facts = yield* ctx.facts.known
    if (runtimeOf(isolation, facts) === null) facts = yield* ctx.facts.fresh
    const runtime = runtimeOf(isolation, facts)
    if (runtime !== null) return { runtime, apparmor: facts.securityModules.includes("apparmor") }
    const has = isolationsOf(facts).join(", ")
    return yield* Effect.fail(
      berthError("ISOLATION_UNAVAILABLE", `the engine has nothing for isolation ${isolation}; it has ${has || "none"}`),
    )
  })

/** Who asks for a worker with a class means to run in it. */
const isolationOf = ({ spec }: Job): Isolation => spec.isolation ?? spec.requires?.isolation ?? "runc"

/** Image, commands and way of running, without making anything. */
export const planFor = (
  ctx: Context,
  job: Job,
  progress: AttemptSink["progress"] = () => Effect.void,
): Effect.Effect<Plan, BerthError> =>
  Effect.gen(function* () {
    const { pull } = ctx
    const tell: Tell = (news) => void Effect.runFork(progress(news))
    const program = yield* containerProgram(job)
    const chosen = yield* chooseImage(ctx.engine, program, pull === null ? null : (image) => pull(image, tell))
    const probe = yield* wallFor(ctx, isolationOf(job))
    const by = { cluster: ctx.options.cluster, worker: job.worker }
    const hasShell = yield* ctx.shells.hasShell(chosen.image, { ...probe, ...by })
    const plan = planOf(job, program, chosen, hasShell)
    return "code" in plan ? yield* Effect.fail(plan) : plan
  })

const bodyFor = (ctx: Context, job: Job, plan: Plan): Effect.Effect<ContainerCreateOptions, BerthError> =>
  Effect.map(Effect.all([wallFor(ctx, isolationOf(job)), ctx.uidBlock]), ([wall, uidBlock]) =>
    createOptions({
      ...wall,
      name: containerName(job),
      cluster: ctx.options.cluster,
      worker: job.worker,
      pool: job.spec.pool,
      imageId: plan.chosen.image.id,
      imageVolumes: plan.chosen.image.volumes,
      imageEnv: plan.chosen.image.env,
      uid: uidOf(uidBlock, job.slot),
      uidBlock,
      limits: job.spec.limits,
      argv: plan.argv,
      env: plan.bootstrapped ? {} : plan.program.env,
      feeds: plan.bootstrapped,
    }),
  )

const isOursUnstarted = (found: ContainerInspectInfo, body: ContainerCreateOptions): boolean =>
  found.State.Status === "created" &&
  found.Image === body.Image &&
  found.Config.User === body.User &&
  found.Config.Labels[LABEL.profile] === PROFILE_VERSION &&
  found.Config.Labels[LABEL.cluster] === body.Labels?.[LABEL.cluster] &&
  found.Config.Labels[LABEL.worker] === body.Labels?.[LABEL.worker]

/** CR1. @returns the container's id */
const createOnce = (ctx: Context, body: ContainerCreateOptions, again: boolean): Effect.Effect<string, BerthError> =>
  Effect.gen(function* () {
    const made = yield* ctx.engine.call<string | null>(
      CALLS.create,
      (abortSignal) => ctx.engine.docker.createContainer({ ...body, abortSignal }).then(({ id }) => id),
      { 409: () => null },
    )
    if (made !== null) return made
    const name = body.name ?? ""
    const found = yield* ctx.inspect(name)
    if (found !== null) {
      if (isOursUnstarted(found, body)) return found.Id
      yield* ctx.remove(found.Id)
    }
    if (again) return yield* Effect.fail(berthError("BACKEND_UNAVAILABLE", `the engine keeps the name ${name} taken`))
    return yield* createOnce(ctx, body, true)
  })

/** CR3. An engine that has begun to make a container goes on with it, whether anybody still listens or not. */
const createOrRemove = (ctx: Context, body: ContainerCreateOptions): Effect.Effect<string, BerthError> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const making = yield* Effect.forkDetach(Effect.interruptible(createOnce(ctx, body, false)))
      const removeLate = Effect.ignore(Effect.flatMap(Fiber.join(making), ctx.remove))
      return yield* Effect.onInterrupt(restore(Fiber.join(making)), () => Effect.forkDetach(removeLate))
    }),
  )

export const createPlace = (
  ctx: Context,
  job: Job,
  progress?: AttemptSink["progress"],
): Effect.Effect<Placement, BerthError> =>
  Effect.gen(function* () {
    const plan = yield* planFor(ctx, job, progress)
    const usual = yield* bodyFor(ctx, job, plan)
    const body = ctx.options.profile?.(usual) ?? usual
    const containerId = yield* createOrRemove(ctx, body)
    const found = yield* ctx.inspect(containerId)
    if (found === null)
      return yield* Effect.fail(berthError("BACKEND_UNAVAILABLE", "the new container is gone already"))
    const refused = profileError(body, found)
    if (refused !== null) {
      yield* ctx.remove(containerId)
      return yield* Effect.fail(refused)
    }
    ctx.live.of(containerId).plan = plan
    return { containerId, imageDigest: plan.chosen.image.digest, policy: effectivePolicy(found, isolationOf(job)) }
  })
