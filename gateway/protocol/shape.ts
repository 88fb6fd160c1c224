/**
 * Whether a JSON value is already just what a schema would make of it. Most messages are, and to see that takes a tenth of what
 * decoding takes, which makes every object anew and each field's outcome beside it.
 *
 *   F1. Yes means: decoding would succeed, with an equal value. So the value itself may be used.
 *   F2. No means nothing: only decoding tells what is wrong, and drops what is not known.
 *   F3. A schema that this file does not know how to judge gets a no for everything.
 */
import type { Schema, SchemaAST } from "effect"

export type Shape = (value: unknown) => boolean

const NEVER: Shape = () => false
const OPTIONS: SchemaAST.ParseOptions = {}
const SCALARS: ReadonlySet<string> = new Set(["Null", "String", "Number", "Boolean", "Literal"])

/** The judge of one schema; make it once. */
export const shapeOf = (schema: Schema.Constraint): Shape => judge(schema.ast)

function judge(ast: SchemaAST.AST): Shape {
  if (ast.encoding !== undefined) return NEVER
  const base = bare(ast)
  const { checks } = ast
  if (base === NEVER || checks === undefined) return base
  return (value) => base(value) && checks.every((check) => passes(check, value, ast))
}

const passes = (check: SchemaAST.Check<never>, value: unknown, ast: SchemaAST.AST): boolean =>
  check._tag === "Filter"
    ? check.run(value as never, ast, OPTIONS) === undefined
    : check.checks.every((each) => passes(each, value, ast))

function bare(ast: SchemaAST.AST): Shape {
  switch (ast._tag) {
    case "Unknown":
      return () => true
    case "Null":
      return (value) => value === null
    case "String":
      return (value) => typeof value === "string"
    case "Number":
      return (value) => typeof value === "number"
    case "Boolean":
      return (value) => typeof value === "boolean"
    case "Literal":
      return (value) => value === ast.literal
    case "Arrays":
      return list(ast)
    case "Objects":
      if (ast.encodingChecks !== undefined) return NEVER
      return ast.indexSignatures.length === 0 ? struct(ast) : record(ast)
    case "Union":
      return union(ast)
    default:
      return NEVER
  }
}

function list({ elements, encodingChecks, rest }: SchemaAST.Arrays): Shape {
  const [item, ...more] = rest
  if (encodingChecks !== undefined || elements.length > 0 || item === undefined || more.length > 0) return NEVER
  const each = judge(item)
  return (value) => Array.isArray(value) && value.every(each)
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

function struct({ propertySignatures }: SchemaAST.Objects): Shape {
  // A struct without fields takes any value but null.
  if (propertySignatures.length === 0) return NEVER
  const fields = propertySignatures.map(({ name, type }) => ({
    name: String(name),
    fits: judge(type),
    isOptional: type.context?.isOptional ?? false,
  }))
  return (value) => {
    if (!isObject(value)) return false
    let known = 0
    for (const { fits, isOptional, name } of fields) {
      if (Object.hasOwn(value, name)) {
        if (!fits(value[name])) return false
        known += 1
      } else if (!isOptional) return false
    }
    // As many keys as known ones: there is no other.
    for (const _key in value) known -= 1
    return known === 0
  }
}

function record({ indexSignatures, propertySignatures }: SchemaAST.Objects): Shape {
  const [index, ...more] = indexSignatures
  if (index === undefined || more.length > 0 || propertySignatures.length > 0) return NEVER
  const isKey = judge(index.parameter)
  const fits = judge(index.type)
  return (value) => {
    if (!isObject(value)) return false
    for (const key in value) if (key === "__proto__" || !isKey(key) || !fits(value[key])) return false
    return true
  }
}

/** Decoding takes the first member that fits after what is not known was dropped: sure only where no two objects could. */
function union({ encodingChecks, options, types }: SchemaAST.Union): Shape {
  if (encodingChecks !== undefined || options?.mode === "oneOf") return NEVER
  const objects = types.filter(({ _tag }) => !SCALARS.has(_tag))
  const names = objects.map((object) => tagOf(object))
  if (objects.length > 1 && (names.includes(null) || new Set(names).size < names.length)) return NEVER
  const members = types.map(judge)
  return (value) => members.some((fits) => fits(value))
}

/** The literal of the field `type`, which tells the members of our unions apart. */
function tagOf(ast: SchemaAST.AST): unknown {
  if (ast._tag !== "Objects") return null
  const field = ast.propertySignatures.find(({ name }) => name === "type")?.type
  return field?._tag === "Literal" && field.context?.isOptional !== true ? field.literal : null
}
