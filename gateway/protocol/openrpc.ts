/** `rpc.discover`: the OpenRPC 1.3 document of this interface, made from the same schemas that check it. */
import { Schema } from "effect"
import { ERROR_CODES, type ErrorCode } from "../../core/errors.ts"
import { NOTIFICATIONS } from "./events.ts"
import { CLOSE_CODES, DOOR, SOCKET_PATH, SUBPROTOCOL } from "./limits.ts"
import { METHOD_NAMES, METHODS, type MethodName } from "./methods.ts"
import { RPC_CODES, WireError } from "./wireError.ts"

type Json = Readonly<Record<string, unknown>>

/** One schema as JSON Schema; what has an identifier goes to `shared` and is referred to. */
function jsonSchema(schema: Schema.Constraint, shared: Record<string, unknown>): Json {
  const document = Schema.toJsonSchemaDocument(schema, { onExcessProperty: "error", generateDescriptions: true })
  for (const [name, definition] of Object.entries(document.definitions)) shared[name] = moved(definition)
  return moved(document.schema) as Json
}

/** OpenRPC keeps shared schemas in `components`, JSON Schema in `$defs`. */
function moved(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(moved)
  if (typeof schema !== "object" || schema === null) return schema
  return Object.fromEntries(
    Object.entries(schema).map(([key, value]) => [
      key,
      key === "$ref" && typeof value === "string" ? value.replace("#/$defs/", "#/components/schemas/") : moved(value),
    ]),
  )
}

function methodObject(name: MethodName, shared: Record<string, unknown>): Json {
  const { summary, params, result, examples } = METHODS[name]
  return {
    name,
    summary,
    paramStructure: "by-name",
    // One object with all parameters: OpenRPC lists them one by one, which cannot say which of them go together.
    params: [{ name: "params", required: true, schema: jsonSchema(params, shared) }],
    result: { name: "result", schema: jsonSchema(result, shared) },
    errors: [{ $ref: "#/components/errors/any" }],
    examples: examples.map((example, at) => ({
      name: `${name} ${at + 1}`,
      params: [{ name: "params", value: example }],
    })),
  }
}

const errorObject = (code: ErrorCode): Json => ({
  code: RPC_CODES[code],
  message: code,
  data: { code, retryable: ERROR_CODES[code][0] === "retryable", hint: ERROR_CODES[code][1], path: null },
})

/** Makes the document. It is the same for everybody, so a server makes it once. */
export function openRpcDocument(version: string): Json {
  const shared: Record<string, unknown> = {}
  const methods = METHOD_NAMES.map((name) => methodObject(name, shared))
  const notifications = Object.entries(NOTIFICATIONS).map(([name, { summary, params }]) => ({
    name,
    summary,
    params: jsonSchema(params, shared),
  }))
  const anyError = jsonSchema(WireError, shared)
  return {
    openrpc: "1.3.2",
    info: {
      title: "Berth",
      version,
      description:
        `JSON-RPC 2.0 over WebSocket at ${SOCKET_PATH}, subprotocol ${SUBPROTOCOL}, one message a text frame. ` +
        "`params` is the one object described. Unknown fields are refused. Batches are refused; a request without `id` is neither done nor answered.",
    },
    methods,
    components: {
      schemas: shared,
      errors: {
        any: { code: RPC_CODES.INTERNAL, message: "Any of `x-errors`.", data: anyError },
        ...Object.fromEntries((Object.keys(ERROR_CODES) as ErrorCode[]).map((code) => [code, errorObject(code)])),
      },
    },
    "x-notifications": notifications,
    "x-errors": Object.fromEntries((Object.keys(ERROR_CODES) as ErrorCode[]).map((code) => [code, RPC_CODES[code]])),
    "x-limits": DOOR,
    "x-close-codes": CLOSE_CODES,
  }
}
