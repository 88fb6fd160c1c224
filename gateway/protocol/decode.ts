/** From an unknown value to a method's parameters, or to the one error that names the first thing wrong. */
import { Result, Schema, SchemaIssue } from "effect"
import { berthError, type BerthError } from "../../core/errors.ts"
import { RESERVED_FIELDS } from "../../core/task/request.ts"
import { writePath } from "./jsonBounds.ts"
import { METHODS, type MethodName, type MethodParams, type MethodResult } from "./methods.ts"
import { type Shape, shapeOf } from "./shape.ts"

/** The words of an issue without the value that caused it: what a user sent is not repeated. */
const format = SchemaIssue.makeFormatterStandardSchemaV1({
  leafHook: (issue) => {
    switch (issue._tag) {
      case "UnexpectedKey":
        return "is not a field of this object"
      case "MissingKey":
        return "is required"
      default:
        return SchemaIssue.defaultLeafHook(issue)
    }
  },
})

const PARSE = { onExcessProperty: "error", errors: "first" } as const

/** The first issue of a schema as an error of this code; `at` is the path of the value that was decoded. */
export function issueError(issue: SchemaIssue.Issue, at: readonly PropertyKey[]): BerthError {
  const first = format(issue).issues[0]
  const keys = [...at, ...(first?.path ?? []).map((part) => (typeof part === "object" ? part.key : part))]
  const path = writePath(keys)
  return berthError("INVALID_PARAMS", `${path}: ${first?.message ?? "does not fit"}`, { path })
}

/** Made at the first use: who calls three methods needs no judge of the others. */
const shapes = new Map<Schema.Constraint, Shape>()
function fits(schema: Schema.Constraint, value: unknown): boolean {
  let shape = shapes.get(schema)
  if (shape === undefined) {
    shape = shapeOf(schema)
    shapes.set(schema, shape)
  }
  return shape(value)
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

function reservedError(params: unknown): BerthError | null {
  const field = isRecord(params) ? RESERVED_FIELDS.find((name) => Object.hasOwn(params, name)) : undefined
  return field === undefined
    ? null
    : berthError("NOT_YET", `params.${field} is reserved for a later version`, { path: `params.${field}` })
}

/**
 * Decodes the parameters of one method. Missing parameters are an empty object.
 *
 * @throws nothing: answers INVALID_PARAMS or NOT_YET as a failure, with `path`
 */
export function decodeParams<M extends MethodName>(
  method: M,
  params: unknown,
): Result.Result<MethodParams<M>, BerthError> {
  const given = params ?? {}
  const reserved = method === "task.submit" ? reservedError(given) : null
  if (reserved !== null) return Result.fail(reserved)
  const schema: Schema.ConstraintDecoder<unknown> = METHODS[method].params
  if (fits(schema, given)) return Result.succeed(given as MethodParams<M>)
  const decoded = Schema.decodeUnknownResult(schema, PARSE)(given)
  return Result.isFailure(decoded)
    ? Result.fail(issueError(decoded.failure.issue, ["params"]))
    : Result.succeed(decoded.success as MethodParams<M>)
}

/**
 * Decodes what a server answered. Fields that this version does not know are dropped, so that a newer server can be talked to.
 *
 * @returns the result, or INTERNAL when the server speaks another language
 */
export function decodeResult<M extends MethodName>(
  method: M,
  result: unknown,
): Result.Result<MethodResult<M>, BerthError> {
  const schema: Schema.ConstraintDecoder<unknown> = METHODS[method].result
  if (fits(schema, result)) return Result.succeed(result as MethodResult<M>)
  const decoded = Schema.decodeUnknownResult(schema)(result)
  return Result.isFailure(decoded)
    ? Result.fail(
        berthError(
          "INTERNAL",
          `${method} was answered with something else: ${issueError(decoded.failure.issue, ["result"]).message}`,
        ),
      )
    : Result.succeed(decoded.success as MethodResult<M>)
}
