/** From what a client asks for to what the log keeps: defaults filled in, wishes held against the limits. Pure. */
import type { Config } from "../config.ts"
import { type BerthError, berthError } from "../errors.ts"
import { LIMITS } from "../limits.ts"
import { RETRY_DEFAULT } from "../policy/retry.ts"
import { runtimeByName } from "../runtime/catalogue.ts"
import { type Isolation, type Lane, laneRank } from "../words.ts"
import type { FileRequest, SubmitRequest } from "./request.ts"
import type { Program, ProgramFile, Requires, TaskSpec } from "./spec.ts"

export const DEFAULT_POOL = "default"

export interface Prepared {
  readonly spec: TaskSpec
  readonly program: Program
}

/** What the node can run and what the principal may ask for. */
export interface PrepareContext {
  readonly config: Config
  readonly laneMax: Lane
  /** Names of registered handlers, or null when any name may be registered somewhere else. */
  readonly handlers: readonly string[] | null
  readonly nowMs: number
  readonly requestHash: string
}

/** @throws BerthError with a path: INVALID_PARAMS, FORBIDDEN, RUNTIME_UNKNOWN, HANDLER_UNKNOWN, TOO_LARGE */
export function prepare(request: SubmitRequest, context: PrepareContext): Prepared {
  const program = programOf(request, context)
  const size = programBytes(program)
  if (size > LIMITS.programBytesMax)
    throw berthError("TOO_LARGE", `the program has ${size} bytes; at most ${LIMITS.programBytesMax} are taken`, {
      path: "params.files",
    })
  return { program, spec: specOf(request, program, context) }
}

const invalid = (message: string, field: string): BerthError =>
  berthError("INVALID_PARAMS", message, { path: `params.${field}` })

function programOf(request: SubmitRequest, { handlers }: PrepareContext): Program {
  const targets = [request.runtime, request.image, request.handler].filter((target) => target !== undefined)
  if (targets.length !== 1) throw invalid("name exactly one of runtime, image and handler", "runtime")
  if (request.handler !== undefined) return handlerProgram(request, request.handler, handlers)
  if (request.input !== undefined) throw invalid("input is for handlers; programs take stdin, args and env", "input")
  const input = {
    args: request.args ?? [],
    env: request.env ?? {},
    stdin:
      request.stdin === undefined
        ? null
        : { content: request.stdin, encoding: request.stdinEncoding ?? ("utf8" as const) },
    secrets: request.secrets ?? [],
  }
  if (request.image !== undefined) {
    if (request.code !== undefined) throw invalid("code needs a runtime; an image takes files and a command", "code")
    if (request.command === undefined || request.command.length === 0)
      throw invalid("an image needs a command", "command")
    return {
      kind: "image",
      image: request.image,
      command: request.command,
      ...input,
      files: (request.files ?? []).map(fileOf),
    }
  }
  return runtimeProgram(request, request.runtime ?? "", input)
}

function handlerProgram(request: SubmitRequest, handler: string, handlers: readonly string[] | null): Program {
  const foreign = (
    [
      "code",
      "files",
      "entry",
      "command",
      "args",
      "env",
      "stdin",
      "secrets",
      "artifacts",
      "limits",
      "isolation",
    ] as const
  ).find((field) => request[field] !== undefined)
  if (foreign !== undefined) throw invalid(`a handler takes input, not ${foreign}`, foreign)
  if (handlers !== null && !handlers.includes(handler))
    throw berthError("HANDLER_UNKNOWN", `no handler is called "${handler}"`, { path: "params.handler" })
  return { kind: "handler", handler, input: request.input ?? null }
}

function runtimeProgram(
  request: SubmitRequest,
  name: string,
  input: Pick<Extract<Program, { kind: "runtime" }>, "args" | "env" | "stdin" | "secrets">,
): Program {
  const runtime = runtimeByName(name)
  if (runtime === undefined || runtime === null)
    throw berthError("RUNTIME_UNKNOWN", `there is no runtime "${name}"`, { path: "params.runtime" })
  if (request.command !== undefined) throw invalid("a runtime brings its own command; use args", "command")
  const files = (request.files ?? []).map(fileOf)
  const entry =
    request.entry ?? (request.code === undefined && files.length === 1 ? files[0]?.path : undefined) ?? runtime.mainFile
  if (request.code !== undefined)
    files.push({ path: entry, content: request.code, encoding: "utf8", executable: false })
  const twice = files.find((file, index) => files.findIndex(({ path }) => path === file.path) !== index)
  if (twice !== undefined) throw invalid(`two files have the path ${twice.path}`, "files")
  if (!files.some(({ path }) => path === entry))
    throw invalid(`send code, or a file ${entry}, or name the entry`, "entry")
  return { kind: "runtime", runtime: runtime.name, entry, ...input, files }
}

const fileOf = (file: FileRequest): ProgramFile => ({
  path: file.path,
  content: file.content,
  encoding: file.encoding ?? "utf8",
  executable: file.executable ?? false,
})

const encoder = new TextEncoder()
const utf8Bytes = (text: string): number => encoder.encode(text).length

/** Bytes of all that the program brings along, as text in the record. */
export function programBytes(program: Program): number {
  if (program.kind === "handler") return utf8Bytes(JSON.stringify(program.input))
  const texts = [
    ...program.args,
    ...Object.entries(program.env).flat(),
    program.stdin?.content ?? "",
    ...program.files.flatMap(({ path, content }) => [path, content]),
  ]
  return texts.reduce((sum, text) => sum + utf8Bytes(text), 0)
}

function within(value: number, max: number, field: string): number {
  if (value <= max) return value
  throw invalid(`${field} is ${value}; this server allows at most ${max}`, field)
}

function specOf(
  request: SubmitRequest,
  program: Program,
  { config, laneMax, nowMs, requestHash }: PrepareContext,
): TaskSpec {
  const lane = laneAllowed(request.lane, laneMax)
  const { startAtMs = null, startByMs = null, limits = {} } = request
  for (const [field, atMs] of Object.entries({ startAtMs, startByMs }))
    if (atMs !== null && atMs > nowMs + LIMITS.startAheadMsMax)
      throw invalid(`params.${field}: must be at most ${LIMITS.startAheadMsMax} ms ahead`, field)
  if (startByMs !== null && startByMs < Math.max(nowMs, startAtMs ?? 0))
    throw invalid("startByMs lies before the task could start", "startByMs")
  const usual = program.kind === "runtime" ? (runtimeByName(program.runtime)?.limits ?? {}) : {}
  return {
    kind: program.kind,
    target: program.kind === "runtime" ? program.runtime : program.kind === "image" ? program.image : program.handler,
    lane,
    pool: request.pool ?? DEFAULT_POOL,
    ...(request.requires === undefined ? {} : { requires: requiresOf(request.requires) }),
    labels: request.labels ?? {},
    retry: { ...RETRY_DEFAULT, ...request.retry, maxAttempts: request.maxAttempts ?? RETRY_DEFAULT.maxAttempts },
    timeoutMs: within(request.timeoutMs ?? config.timeoutMs, config.timeoutMsMax, "timeoutMs"),
    graceMs: request.graceMs ?? config.graceMs,
    startAtMs: startAtMs !== null && startAtMs > nowMs ? startAtMs : null,
    startByMs,
    onLost: request.onLost ?? "retry",
    limits: {
      memoryBytes: within(
        limits.memoryBytes ?? usual.memoryBytes ?? config.memoryBytes,
        config.memoryBytesMax,
        "limits.memoryBytes",
      ),
      cpuMilli: limits.cpuMilli ?? usual.cpuMilli ?? config.cpuMilli,
      pidsMax: limits.pidsMax ?? usual.pidsMax ?? config.pidsMax,
      tmpfsBytes: limits.tmpfsBytes ?? usual.tmpfsBytes ?? config.tmpfsBytes,
    },
    ...(request.isolation === undefined ? {} : { isolation: isolationOf(request.isolation) }),
    artifacts: request.artifacts ?? false,
    requestHash,
    idempotencyKey: request.idempotencyKey ?? null,
  }
}

const requiresOf = ({ isolation, ...rest }: NonNullable<SubmitRequest["requires"]>): Requires => ({
  ...rest,
  ...(isolation === undefined ? {} : { isolation: isolationOf(isolation) }),
})

const isolationOf = (asked: Isolation | "gvisor"): Isolation => (asked === "gvisor" ? "runsc" : asked)

/** The lane asked for, or the usual one, unless the token forbids it. */
export function laneAllowed(asked: Lane | undefined, laneMax: Lane): Lane {
  if (asked === undefined) return laneRank("normal") < laneRank(laneMax) ? laneMax : "normal"
  if (laneRank(asked) >= laneRank(laneMax)) return asked
  throw berthError("FORBIDDEN", `this token allows the lanes from ${laneMax} down, not ${asked}`, {
    path: "params.lane",
  })
}
