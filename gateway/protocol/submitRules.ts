/** Which fields of a submit go together: what no single field can say. */
import { LIMITS } from "../../core/limits.ts"
import type { SubmitRequest } from "../../core/task/request.ts"
import { contentFault } from "./fields.ts"
import { utf8Bytes } from "./utf8.ts"

/** What is wrong, and where below the request; undefined when nothing is. */
export type Fault = { readonly path: readonly (string | number)[]; readonly issue: string } | undefined

/** Fields that make sense only beside others. */
const BELONGS = {
  code: ["runtime"],
  entry: ["runtime"],
  files: ["runtime", "image"],
  command: ["image"],
  args: ["runtime", "image"],
  env: ["runtime", "image"],
  stdin: ["runtime", "image"],
  secrets: ["runtime", "image"],
  limits: ["runtime", "image"],
  artifacts: ["runtime", "image"],
  isolation: ["runtime", "image"],
  input: ["handler"],
} as const

function kindFault(request: SubmitRequest): Fault {
  const kinds = (["runtime", "image", "handler"] as const).filter((kind) => request[kind] !== undefined)
  const [kind] = kinds
  if (kind === undefined) return { path: [], issue: "must name one of `runtime`, `image` and `handler`" }
  if (kinds.length > 1)
    return { path: [kinds[1] ?? kind], issue: "only one of `runtime`, `image` and `handler` may be given" }
  for (const [field, kindsAllowed] of Object.entries(BELONGS)) {
    if (request[field as keyof SubmitRequest] !== undefined && !(kindsAllowed as readonly string[]).includes(kind))
      return {
        path: [field],
        issue: `goes with ${kindsAllowed.map((name) => `\`${name}\``).join(" or ")}, not with \`${kind}\``,
      }
  }
  if (kind === "image" && request.command === undefined)
    return { path: ["command"], issue: "an image needs a `command`" }
  if (kind === "runtime" && request.code === undefined && (request.files ?? []).length === 0)
    return { path: ["code"], issue: "a runtime needs `code` or `files`" }
  return undefined
}

function filesFault(request: SubmitRequest): Fault {
  const files = request.files ?? []
  const paths = new Set<string>()
  for (const [at, { path }] of files.entries()) {
    if (paths.has(path)) return { path: ["files", at, "path"], issue: "two files have this path" }
    paths.add(path)
  }
  for (const [at, { path }] of files.entries()) {
    for (let slash = path.indexOf("/"); slash >= 0; slash = path.indexOf("/", slash + 1)) {
      if (paths.has(path.slice(0, slash)))
        return { path: ["files", at, "path"], issue: "a folder in this path is a file" }
    }
  }
  if (request.entry !== undefined && request.code === undefined && !paths.has(request.entry))
    return { path: ["entry"], issue: "must be the path of one of `files`" }
  return undefined
}

/** Bytes of all that the program brings along. */
function programBytes(request: SubmitRequest): number {
  let bytes = utf8Bytes(request.code ?? "") + utf8Bytes(request.stdin ?? "")
  for (const file of request.files ?? []) bytes += utf8Bytes(file.path) + utf8Bytes(file.content)
  for (const word of [...(request.command ?? []), ...(request.args ?? [])]) bytes += utf8Bytes(word)
  for (const [name, value] of Object.entries(request.env ?? {})) bytes += utf8Bytes(name) + utf8Bytes(value)
  return bytes
}

function secretsFault({ env = {}, secrets = [] }: SubmitRequest): Fault {
  for (const [at, name] of secrets.entries()) {
    if (secrets.indexOf(name) !== at) return { path: ["secrets", at], issue: "is named twice" }
    if (Object.hasOwn(env, name)) return { path: ["secrets", at], issue: "is also a variable of `env`" }
  }
  return undefined
}

function restFault(request: SubmitRequest): Fault {
  if (request.stdinEncoding !== undefined && request.stdin === undefined)
    return { path: ["stdinEncoding"], issue: "goes with `stdin`" }
  const stdin = contentFault(request.stdin ?? "", request.stdinEncoding)
  if (stdin !== undefined) return { path: ["stdin"], issue: stdin }
  const { startAtMs, startByMs, retry } = request
  if (startAtMs !== undefined && startByMs !== undefined && startByMs < startAtMs)
    return { path: ["startByMs"], issue: "must not be before `startAtMs`" }
  if (retry?.delayMsInitial !== undefined && retry.delayMsMax !== undefined && retry.delayMsMax < retry.delayMsInitial)
    return { path: ["retry", "delayMsMax"], issue: "must not be below `delayMsInitial`" }
  if (programBytes(request) > LIMITS.programBytesMax)
    return { path: [], issue: `a program is at most ${LIMITS.programBytesMax} bytes in all` }
  return undefined
}

/** The first rule that a request breaks whose fields are each for themselves in order. */
export const submitFault = (request: SubmitRequest): Fault =>
  kindFault(request) ?? filesFault(request) ?? secretsFault(request) ?? restFault(request)
