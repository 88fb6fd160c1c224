/** The small parts that requests are made of, each with its bounds and a message that names them. */
import { Schema } from "effect"
import { LIMITS } from "../../core/limits.ts"
import { ID_PATTERN } from "../../core/record.ts"
import { isSecretName, SECRET_NAME_RULE, secretValueFault } from "../../core/secret.ts"
import { LANES, OUTPUT_STREAMS, PHASES, STATUSES } from "../../core/words.ts"
import { DOOR } from "./limits.ts"
import { isBase64, utf8Bytes } from "./utf8.ts"

// Annotations come before checks: what comes after one describes the check, and is in no JSON Schema but for `identifier`.

/** A whole number within bounds, both allowed. */
export const wholeNumber = (minimum: number, maximum: number, description: string) =>
  Schema.Finite.annotate({ description }).check(
    Schema.isInt({ message: `must be a whole number from ${minimum} to ${maximum}` }),
    Schema.isBetween({ minimum, maximum }, { message: `must be from ${minimum} to ${maximum}` }),
  )

/** A text of a pattern; `must` completes the sentence "this field must be …". */
export const patternText = (pattern: RegExp, must: string, description: string, examples: readonly string[] = []) =>
  Schema.String.annotate({ description: `${description} Is ${must}.`, ...(examples.length > 0 && { examples }) }).check(
    Schema.isPattern(pattern, { message: `must be ${must}` }),
  )

const NUL = "\u0000"

/** A text of at most `bytesMax` UTF-8 bytes without NUL, which ends arguments and paths in the kernel's eyes. */
export const argumentText = (bytesMax: number, description: string) =>
  Schema.String.annotate({ description: `${description} At most ${bytesMax} bytes, without NUL.` }).check(
    Schema.makeFilter((text: string) =>
      text.includes(NUL)
        ? "must not contain a NUL byte"
        : utf8Bytes(text) > bytesMax
          ? `must be at most ${bytesMax} bytes`
          : undefined,
    ),
  )

/** Any text; its length is bounded like every string's. */
export const contentText = (description: string) => Schema.String.annotate({ description })

const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/

/** What is wrong with a label's name or value, or undefined. */
const labelFault = (text: string): string | undefined =>
  HIDDEN.test(text)
    ? "a label must not contain control characters"
    : utf8Bytes(text) > LIMITS.labelBytesMax
      ? `a label's name and value are at most ${LIMITS.labelBytesMax} bytes each`
      : undefined

const LABEL_NAME = /^[A-Za-z0-9_][A-Za-z0-9_./-]*$/

/** Names and values that the owner chose, to find tasks by. */
export const Labels = Schema.Record(Schema.String, Schema.String)
  .annotate({
    description: `At most ${LIMITS.labelsMax}, ${LIMITS.labelBytesMax} bytes each.`,
    examples: [{ team: "a" }],
  })
  .check(
    Schema.makeFilter((labels: Readonly<Record<string, string>>) => {
      const entries = Object.entries(labels)
      if (entries.length > LIMITS.labelsMax) return `at most ${LIMITS.labelsMax} labels`
      for (const [name, value] of entries) {
        const fault = !LABEL_NAME.test(name)
          ? "a label's name must be letters, digits, `_`, `.`, `/` and `-`, and begin with a letter, digit or `_`"
          : (labelFault(name) ?? labelFault(value))
        if (fault !== undefined) return { path: [name], issue: fault }
      }
      return undefined
    }),
  )

const ENV_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/

function envFault(name: string, value: string): string | undefined {
  if (!ENV_NAME.test(name)) return "a variable's name must be letters, digits and `_`, and not begin with a digit"
  if (utf8Bytes(name) > LIMITS.envNameBytesMax) return `a variable's name is at most ${LIMITS.envNameBytesMax} bytes`
  if (value.includes(NUL)) return "a variable's value must not contain a NUL byte"
  if (utf8Bytes(value) > LIMITS.envValueBytesMax)
    return `a variable's value is at most ${LIMITS.envValueBytesMax} bytes`
  return undefined
}

/** Environment variables. Their values are in no answer, event or log line. */
export const Env = Schema.Record(Schema.String, Schema.String)
  .annotate({
    description: `Environment variables, at most ${LIMITS.envMax}. Their values never come back.`,
    examples: [{ MODE: "fast" }],
  })
  .check(
    Schema.makeFilter((env: Readonly<Record<string, string>>) => {
      const entries = Object.entries(env)
      if (entries.length > LIMITS.envMax) return `at most ${LIMITS.envMax} variables`
      for (const [name, value] of entries) {
        const fault = envFault(name, value)
        if (fault !== undefined) return { path: [name], issue: fault }
      }
      return undefined
    }),
  )

/** What is wrong with a path inside a program's folder, or undefined. */
export function pathFault(path: string): string | undefined {
  if (path === "") return "a path must not be empty"
  if (utf8Bytes(path) > LIMITS.filePathBytesMax) return `a path is at most ${LIMITS.filePathBytesMax} bytes`
  if (HIDDEN.test(path)) return "a path must not contain control characters"
  if (path.startsWith("/") || path.includes("\\")) return "a path must be relative, with `/` between its parts"
  if (path.split("/").some((part) => part === "" || part === "." || part === ".."))
    return "a path must be normal: no empty part, no `.`, no `..`"
  return undefined
}

export const filePath = (description: string) =>
  Schema.String.annotate({
    description: `${description} Relative to /box, normal, at most ${LIMITS.filePathBytesMax} bytes.`,
    examples: ["main.py", "lib/words.py"],
  }).check(Schema.makeFilter(pathFault))

export const Encoding = Schema.Literals(["utf8", "base64"]).annotate({
  description: "How the content is written. Default `utf8`.",
})

/** A fault of content that says it is base64 and is not, or undefined. */
export const contentFault = (content: string, encoding: "utf8" | "base64" | undefined): string | undefined =>
  encoding === "base64" && !isBase64(content) ? "must be base64 with its padding, as `encoding` says" : undefined

export const TaskId = patternText(ID_PATTERN, "1 to 64 of `A-Z a-z 0-9 _ -`", "Id of a task.", [
  "01J8ZQ4T9VTASKAAAAAAAA",
])
export const LaneField = Schema.Literals(LANES).annotate({ description: "Priority level, the first goes first." })
export const StatusField = Schema.Literals(STATUSES)
export const PhaseField = Schema.Literals(PHASES)
export const StreamField = Schema.Literals(OUTPUT_STREAMS)
export const SubscriptionId = patternText(
  /^s[0-9]{1,9}$/,
  "a subscription as `task.watch` named it",
  "A running watch.",
  ["s1"],
)

export const seqField = (description: string) => wholeNumber(0, Number.MAX_SAFE_INTEGER, description)
export const SeqField = seqField("Position in the log; 0 is before the first entry.")
export const MinSeq = Schema.optionalKey(
  seqField("Wait, within limits, until the answer shows at least this sequence."),
)
/** Milliseconds since 1970. */
export const atMs = (description: string) =>
  wholeNumber(0, 8.64e15, `${description} Milliseconds since 1970-01-01T00:00:00Z.`)
export const AtMs = atMs("A time.")

export const Owner = patternText(
  /^[A-Za-z0-9_.@:|+=/-]{1,128}$/,
  "1 to 128 of `A-Z a-z 0-9 _ . @ : | + = / -`",
  "Whom a task belongs to: the token's `sub`.",
)

export const SecretName = Schema.String.annotate({
  description: `Name of a secret and of the variable that it becomes. Is ${SECRET_NAME_RULE}.`,
  examples: ["API_TOKEN"],
}).check(Schema.makeFilter((name: string) => (isSecretName(name) ? undefined : `must be ${SECRET_NAME_RULE}`)))

export const SecretValue = Schema.String.annotate({
  description: `The value, 1 to ${LIMITS.secretBytesMax} bytes without NUL. It never comes back.`,
}).check(Schema.makeFilter((value: string) => secretValueFault(value, utf8Bytes(value))))

export const WorkerName = patternText(
  /^[A-Za-z0-9_.-]{1,128}$/,
  "1 to 128 of `A-Z a-z 0-9 _ . -`",
  "A worker as `worker.list` names it.",
)

export const Cursor = patternText(
  /^[\x21-\x7e]{1,512}$/,
  "the `nextCursor` of the page before",
  "Where the page before ended; leave it out to begin with the newest.",
)

export const RowsMax = wholeNumber(1, LIMITS.listPageMax, "Rows of the page.")
export const REQUEUE_MAX = DOOR.requeueMax
