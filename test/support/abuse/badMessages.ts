/** Messages that are wrong, and what each is answered with. The door's own tests and the abuse suite send the same ones. */
import { DOOR } from "../../../gateway/protocol/limits.ts"

export const submitText = (params: string): string =>
  `{"jsonrpc":"2.0","id":"x","method":"task.submit","params":${params}}`
/** The fields of a submit that would be accepted. */
export const GOOD = '"runtime":"python","code":"1"'

interface BadMessage {
  readonly name: string
  readonly text: string
  readonly code: string
  readonly path: string | null
  readonly says: RegExp
}

const ROWS: readonly [name: string, text: string, code: string, path: string | null, says: RegExp][] = [
  ["no JSON", "{", "PARSE_ERROR", null, /JSON/],
  ["a batch", `[${submitText(`{${GOOD}}`)}]`, "INVALID_REQUEST", null, /batch/],
  ["an unknown method", '{"jsonrpc":"2.0","id":"x","method":"task.explode"}', "METHOD_NOT_FOUND", "method", /method/],
  [
    "a method named like a property",
    '{"jsonrpc":"2.0","id":"x","method":"constructor"}',
    "METHOD_NOT_FOUND",
    "method",
    /method/,
  ],
  ["a later method", '{"jsonrpc":"2.0","id":"x","method":"action.list"}', "NOT_YET", "method", /reserved/],
  ["an unknown field", submitText(`{${GOOD},"colour":1}`), "INVALID_PARAMS", "params.colour", /not a field/],
  ["an owner", submitText(`{${GOOD},"owner":"bob"}`), "INVALID_PARAMS", "params.owner", /not a field/],
  ["an epoch", submitText(`{${GOOD},"epoch":9}`), "INVALID_PARAMS", "params.epoch", /not a field/],
  ["a priority", submitText(`{${GOOD},"priority":9}`), "INVALID_PARAMS", "params.priority", /not a field/],
  [
    "a field of the envelope",
    '{"jsonrpc":"2.0","id":"x","method":"task.list","owner":"bob"}',
    "INVALID_REQUEST",
    "owner",
    /field/,
  ],
  ["a reserved field", submitText(`{${GOOD},"action":"p"}`), "NOT_YET", "params.action", /reserved/],
  [
    "__proto__",
    submitText(`{${GOOD},"labels":{"__proto__":"x"}}`),
    "INVALID_PARAMS",
    "params.labels.__proto__",
    /__proto__/,
  ],
  [
    "constructor",
    submitText('{"handler":"h","input":{"constructor":{"prototype":1}}}'),
    "INVALID_PARAMS",
    "params.input.constructor",
    /constructor/,
  ],
  ["1e400", submitText(`{${GOOD},"timeoutMs":1e400}`), "INVALID_PARAMS", "params.timeoutMs", /finite/],
  [
    "depth",
    submitText(`{"handler":"h","input":${"[".repeat(10_000)}${"]".repeat(10_000)}}`),
    "TOO_LARGE",
    `params.input${"[0]".repeat(30)}`,
    /32/,
  ],
  ["a hundred thousand levels", "[".repeat(100_000), "PARSE_ERROR", null, /JSON/],
  [
    "keys",
    submitText(`{"handler":"h","input":{${Array.from({ length: 1_001 }, (_, at) => `"k${at}":1`).join()}}}`),
    "TOO_LARGE",
    "params.input",
    /1000/,
  ],
  [
    "a huge key",
    submitText(`{"${"k".repeat(DOOR.stringBytesMax + 1)}":1}`),
    "TOO_LARGE",
    `params["${"k".repeat(64)}"]`,
    /262144/,
  ],
  [
    "a huge string",
    submitText(`{"runtime":"python","code":"${"x".repeat(DOOR.stringBytesMax + 1)}"}`),
    "TOO_LARGE",
    "params.code",
    /262144/,
  ],
  ["half a character", submitText('{"runtime":"python","code":"\\ud800"}'), "INVALID_PARAMS", "params.code", /Unicode/],
  ["an unknown runtime", submitText('{"runtime":"cobol","code":"1"}'), "RUNTIME_UNKNOWN", "params.runtime", /runtime/],
  [
    "a time far ahead",
    submitText(`{${GOOD},"startAtMs":8640000000000000}`),
    "INVALID_PARAMS",
    "params.startAtMs",
    /ahead/,
  ],
  [
    "a path that leaves",
    submitText('{"runtime":"python","files":[{"path":"../x","content":""}]}'),
    "INVALID_PARAMS",
    "params.files[0].path",
    /normal/,
  ],
  ["a NUL", submitText('{"image":"debian","command":["a\\u0000b"]}'), "INVALID_PARAMS", "params.command[0]", /NUL/],
]

export const BAD_MESSAGES: readonly BadMessage[] = ROWS.map(([name, text, code, path, says]) => ({
  name,
  text,
  code,
  path,
  says,
}))

/** Ids become subjects and file names; none of these may. */
export const BAD_IDS = ["a.b", "*", ">", "a b", "a\r\nb", "", "x".repeat(65), "é", "../x", "a\u0000"]
/** Every method that takes the id of a task. */
export const ID_METHODS = [
  "task.get",
  "task.update",
  "task.cancel",
  "task.kill",
  "task.retry",
  "task.delete",
  "task.watch",
] as const
export const paramsFor = (method: string, id: string): object =>
  method === "task.update" ? { id, lane: "low" } : { id }
