import { Effect } from "effect"
import { type BerthError, berthError } from "../../../core/errors.ts"
import type { Job } from "../../../core/ports/executor.ts"
import type { Program } from "../../../core/task/spec.ts"
import { BOOTSTRAP, SUPERVISOR } from "./bootstrap.ts"
import { boxBytesOf, feedOf, type Member, programMembers } from "./feed.ts"
import type { Chosen } from "./image.ts"
import { jobScript } from "./jobScript.ts"

export type ContainerProgram = Exclude<Program, { kind: "handler" }>

/** How one attempt will be run: decided before create, needed again to feed it. */
export interface Plan {
  readonly chosen: Chosen
  readonly program: ContainerProgram
  /** True: our shell program runs it. False: the image has no shell, and its command is all there is. */
  readonly bootstrapped: boolean
  readonly argv: readonly string[]
}

/** Home and temporary files are the two places that a program may write to. */
const BASE_ENV = { HOME: "/box", TMPDIR: "/tmp" } as const

export const containerProgram = (job: Job): Effect.Effect<ContainerProgram, BerthError> =>
  job.program.kind === "handler"
    ? Effect.fail(berthError("INVALID_PARAMS", "a handler does not run in a container"))
    : Effect.succeed(job.program)

const isNormal = (path: string): boolean =>
  path !== "" && !path.includes("\0") && path.split("/").every((part) => part !== "" && part !== "." && part !== "..")

/** Refuses what can never run: before anything is made. */
export function planOf(job: Job, program: ContainerProgram, chosen: Chosen, hasShell: boolean): Plan | BerthError {
  const wrong = program.files.find((file) => !isNormal(file.path))
  if (wrong !== undefined)
    return berthError("INVALID_PARAMS", `a file's path must be relative and normal: ${JSON.stringify(wrong.path)}`)
  const { files, stdin } = programMembers(program)
  const bytes = boxBytesOf(files) + (stdin?.length ?? 0) + 128 * 1024
  if (bytes > job.spec.limits.tmpfsBytes)
    return berthError("TOO_LARGE", `the program takes ${bytes} bytes of /box, which has ${job.spec.limits.tmpfsBytes}`)
  if (hasShell) return { chosen, program, bootstrapped: true, argv: ["sh", "-c", BOOTSTRAP] }
  const asked = [
    ...(files.length > 0 ? ["files"] : []),
    ...(stdin !== null ? ["stdin"] : []),
    ...(job.spec.artifacts ? ["artifacts"] : []),
    ...(program.secrets.length > 0 ? ["secrets"] : []),
  ]
  if (asked.length > 0 || chosen.commands.compile !== undefined)
    return berthError("IMAGE_NEEDS_SHELL", `${job.spec.target} has no sh and tar, which ${asked.join(", ")} need`)
  return { chosen, program, bootstrapped: false, argv: chosen.commands.run }
}

/** Everything the program sees: ours, then the runtime's, the task's, and its secrets; later ones win. */
export const environmentOf = (
  plan: Plan,
  secrets: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> => ({
  ...BASE_ENV,
  ...plan.chosen.runtime?.env,
  ...plan.program.env,
  ...secrets,
})

/** @returns what is written to the container's stdin, in parts */
export function feedFor(
  job: Job,
  plan: Plan,
  input: {
    readonly nonce: string
    readonly uid: number
    readonly holdMs: number
    readonly secrets: Readonly<Record<string, string>>
  },
): Uint8Array[] {
  const { files, stdin }: { files: readonly Member[]; stdin: Uint8Array | null } = programMembers(plan.program)
  const script = jobScript({
    nonce: input.nonce,
    env: environmentOf(plan, input.secrets),
    commands: plan.chosen.commands,
    hasStdin: stdin !== null,
    holdMs: job.spec.artifacts ? input.holdMs : 0,
    spec: job.spec,
  })
  return feedOf({
    nonce: input.nonce,
    script: script + SUPERVISOR,
    stdin,
    files,
    withOut: job.spec.artifacts,
    uid: input.uid,
  })
}
