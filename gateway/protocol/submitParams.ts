/** What `task.submit` takes: the bounds of one request, and which fields go together. Decodes to core's SubmitRequest, and whether to watch. */
import { Schema } from "effect"
import { LIMITS } from "../../core/limits.ts"
import { ISOLATIONS } from "../../core/words.ts"
import {
  argumentText,
  atMs,
  contentFault,
  contentText,
  Encoding,
  Env,
  filePath,
  Labels,
  LaneField,
  patternText,
  SecretName,
  wholeNumber,
} from "./fields.ts"
import { submitFault } from "./submitRules.ts"

const FileField = Schema.Struct({
  path: filePath("Where the file will be."),
  content: contentText("The whole file."),
  encoding: Schema.optionalKey(Encoding),
  executable: Schema.optionalKey(Schema.Boolean.annotate({ description: "Mode 0755 instead of 0644. Default false." })),
})
  .annotate({ examples: [{ path: "main.py", content: "print(1)" }] })
  .check(
    Schema.makeFilter((file) => {
      const fault = contentFault(file.content, file.encoding)
      return fault === undefined ? undefined : { path: ["content"], issue: fault }
    }),
  )
  .annotate({ identifier: "File" })

/** An argument list of `wordsMin` to `argsMax` words. */
const argumentList = (wordsMin: number, description: string) =>
  Schema.Array(argumentText(LIMITS.envValueBytesMax, "One argument, passed on as it is."))
    .annotate({ description })
    .check(
      Schema.isMinLength(wordsMin, { message: "must name a program" }),
      Schema.isMaxLength(LIMITS.argsMax, { message: `must be at most ${LIMITS.argsMax} words` }),
    )

const MEBIBYTE = 1024 * 1024

const Limits = Schema.Struct({
  memoryBytes: Schema.optionalKey(
    wholeNumber(LIMITS.memoryBytesMin, 1024 * 1024 * MEBIBYTE, "Memory and swap together. Default 256 MiB."),
  ),
  cpuMilli: Schema.optionalKey(wholeNumber(10, 1_000_000, "CPU in thousandths of a core. Default 1000.")),
  pidsMax: Schema.optionalKey(wholeNumber(1, 4_096, "Processes and threads. Default 64.")),
  tmpfsBytes: Schema.optionalKey(
    wholeNumber(MEBIBYTE, 64 * 1024 * MEBIBYTE, "Size of /box and of /tmp each. Default 64 MiB."),
  ),
}).annotate({ description: "Resource limits of one attempt.", examples: [{ memoryBytes: 128 * MEBIBYTE }] })

const Retry = Schema.Struct({
  delayMsInitial: Schema.optionalKey(
    wholeNumber(0, LIMITS.retryDelayMsMax, "Delay before the second attempt, before jitter. Default 1000."),
  ),
  delayMsMax: Schema.optionalKey(wholeNumber(0, LIMITS.retryDelayMsMax, "Upper bound of any delay. Default 60000.")),
  factor: Schema.optionalKey(
    Schema.Finite.annotate({ description: "Growth per attempt. Default 2." }).check(
      Schema.isBetween({ minimum: 1, maximum: 10 }, { message: "must be from 1 to 10" }),
    ),
  ),
}).annotate({ description: "When a failed attempt is tried again.", examples: [{ delayMsInitial: 500, factor: 2 }] })

const handlerName = (description: string) =>
  patternText(/^[A-Za-z0-9_.:-]{1,64}$/, "1 to 64 of `A-Z a-z 0-9 _ . : -`", description)
const IsolationField = Schema.Literals([...ISOLATIONS, "gvisor"])

const PoolName = patternText(
  /^[A-Za-z0-9_-]{1,64}$/,
  "1 to 64 of `A-Z a-z 0-9 _ -`",
  "The workers that it goes to. Default `default`.",
)

const Requirements = Schema.Struct({
  handler: Schema.optionalKey(handlerName("A handler that the worker's program has.")),
  isolation: Schema.optionalKey(IsolationField.annotate({ description: "A class that the worker's engine has." })),
  labels: Schema.optionalKey(Labels),
}).annotate({
  description: "What a worker of the pool must have to take it. While none has, the task waits and holds no slot.",
  examples: [{ labels: { zone: "eu" } }],
})

export const SubmitParams = Schema.Struct({
  runtime: Schema.optionalKey(
    patternText(
      /^[A-Za-z0-9+#_.-]{1,32}$/,
      "the name of a runtime",
      "A language of the catalogue, with `code` or `files`.",
    ),
  ),
  code: Schema.optionalKey(contentText("Source text of the main file.")),
  files: Schema.optionalKey(
    Schema.Array(FileField)
      .annotate({ description: "Files of the program." })
      .check(Schema.isMaxLength(LIMITS.filesMax, { message: `must be at most ${LIMITS.filesMax} files` })),
  ),
  entry: Schema.optionalKey(filePath("Which of `files` is started.")),
  image: Schema.optionalKey(
    patternText(
      /^[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}$/,
      "a reference to an image, at most 255 characters",
      "Any image, with `command`.",
    ),
  ),
  command: Schema.optionalKey(argumentList(1, "Program and arguments; no shell is put in between.")),
  handler: Schema.optionalKey(handlerName("A function of the embedding program.")),
  input: Schema.optionalKey(Schema.Unknown.annotate({ description: "Any JSON value, for the handler." })),
  args: Schema.optionalKey(argumentList(0, "Arguments of the program.")),
  env: Schema.optionalKey(Env),
  secrets: Schema.optionalKey(
    Schema.Array(SecretName)
      .annotate({ description: "Secrets of the owner that become environment variables of the same names." })
      .check(
        Schema.isMaxLength(LIMITS.taskSecretsMax, { message: `must be at most ${LIMITS.taskSecretsMax} secrets` }),
      ),
  ),
  stdin: Schema.optionalKey(contentText("What the program reads from its standard input.")),
  stdinEncoding: Schema.optionalKey(Encoding),
  lane: Schema.optionalKey(LaneField),
  pool: Schema.optionalKey(PoolName),
  requires: Schema.optionalKey(Requirements),
  labels: Schema.optionalKey(Labels),
  timeoutMs: Schema.optionalKey(wholeNumber(1, LIMITS.timeoutMsMax, "Longest run of one attempt, in milliseconds.")),
  graceMs: Schema.optionalKey(wholeNumber(0, LIMITS.graceMsMax, "From SIGTERM to SIGKILL, in milliseconds.")),
  maxAttempts: Schema.optionalKey(wholeNumber(1, LIMITS.maxAttemptsMax, "Attempts in all. Default 1.")),
  retry: Schema.optionalKey(Retry),
  startAtMs: Schema.optionalKey(atMs("Not started before.")),
  startByMs: Schema.optionalKey(atMs("Fails with `expired` unless begun by then.")),
  onLost: Schema.optionalKey(
    Schema.Literals(["retry", "fail"]).annotate({
      description: "When the worker that ran it is lost. Default `retry`.",
    }),
  ),
  limits: Schema.optionalKey(Limits),
  isolation: Schema.optionalKey(
    IsolationField.annotate({
      description: "What it must be kept apart by; refused where the engine does not have it. Default `runc`.",
    }),
  ),
  artifacts: Schema.optionalKey(
    Schema.Boolean.annotate({ description: "Keep what is left in /box/out. Default false." }),
  ),
  idempotencyKey: Schema.optionalKey(
    argumentText(LIMITS.idempotencyKeyBytesMax, "The same key and request give the same task.").check(
      Schema.isMinLength(1, { message: "must not be empty" }),
    ),
  ),
  watch: Schema.optionalKey(
    Schema.Boolean.annotate({
      description:
        "Watch it from here on, as `task.watch` would, without asking twice. No part of what is idempotent. Default false.",
    }),
  ),
})
  .annotate({
    description: "Exactly one of `runtime`, `image` and `handler` says what is to be run.",
    examples: [
      { runtime: "python", code: "print('hello')" },
      { image: "debian:12-slim", command: ["echo", "hello"], lane: "high", timeoutMs: 10_000 },
      { handler: "resize", input: { width: 100 }, maxAttempts: 3, idempotencyKey: "resize-17", watch: true },
    ],
  })
  .check(Schema.makeFilter(submitFault))
  .annotate({ identifier: "SubmitRequest" })
