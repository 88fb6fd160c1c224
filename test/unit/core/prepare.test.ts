/** From what a client asks for to what the log keeps: defaults, limits, and every refusal with its path. */
import { describe, expect, it } from "vitest"
import { resolveConfig } from "../../../core/config.ts"
import { BerthError } from "../../../core/errors.ts"
import { LIMITS } from "../../../core/limits.ts"
import { RETRY_DEFAULT } from "../../../core/policy/retry.ts"
import { laneAllowed, prepare, type PrepareContext, programBytes } from "../../../core/task/prepare.ts"
import type { SubmitRequest } from "../../../core/task/request.ts"
import { LANES, laneRank } from "../../../core/words.ts"

const NOW_MS = 1_750_000_000_000
const AHEAD_MS = NOW_MS + LIMITS.startAheadMsMax
const config = resolveConfig({ timeoutMsMax: 100_000, memoryBytesMax: 512 * 1024 * 1024 })
const context = (more: Partial<PrepareContext> = {}): PrepareContext => ({
  config,
  laneMax: "urgent",
  handlers: ["resize"],
  nowMs: NOW_MS,
  requestHash: "ab",
  ...more,
})
const python = (more: Partial<SubmitRequest> = {}): SubmitRequest => ({ runtime: "python", code: "print(1)", ...more })
const image = (more: Partial<SubmitRequest> = {}): SubmitRequest => ({ image: "alpine", command: ["true"], ...more })

function refusal(
  request: SubmitRequest,
  more: Partial<PrepareContext> = {},
): { readonly code: string; readonly path: string | undefined } {
  try {
    prepare(request, context(more))
  } catch (error) {
    if (error instanceof BerthError) return { code: error.code, path: error.path }
    throw error
  }
  throw new Error("it was accepted")
}

describe("what is filled in?", () => {
  it("a program of a runtime gets its main file, no arguments and the usual limits", () => {
    const { program, spec } = prepare(python(), context())
    expect(program).toEqual({
      kind: "runtime",
      runtime: "python",
      entry: "main.py",
      args: [],
      env: {},
      stdin: null,
      secrets: [],
      files: [{ path: "main.py", content: "print(1)", encoding: "utf8", executable: false }],
    })
    expect(spec).toMatchObject({
      kind: "runtime",
      target: "python",
      lane: "normal",
      pool: "default",
      labels: {},
      retry: RETRY_DEFAULT,
      timeoutMs: config.timeoutMs,
      graceMs: config.graceMs,
      startAtMs: null,
      startByMs: null,
      onLost: "retry",
      artifacts: false,
      requestHash: "ab",
      idempotencyKey: null,
    })
    expect(spec.retry.maxAttempts).toBe(1)
  })

  it("pool and requirements are kept as they are asked for; gvisor is runsc, and none are none", () => {
    const asked = { runtime: "python", code: "1", pool: "gpu" } as const
    const requires = { handler: "h", isolation: "gvisor", labels: { zone: "eu" } } as const
    expect(prepare({ ...asked, requires }, context()).spec).toMatchObject({
      pool: "gpu",
      requires: { handler: "h", isolation: "runsc", labels: { zone: "eu" } },
    })
    expect(prepare(asked, context()).spec).not.toHaveProperty("requires")
  })

  it("the only file is the entry; of several the runtime's main file, or the one that is named", () => {
    const file = (path: string) => ({ path, content: "1" })
    const entryOf = (request: SubmitRequest) => {
      const { program } = prepare(request, context())
      return program.kind === "runtime" ? program.entry : null
    }
    expect(entryOf({ runtime: "python", files: [file("job.py")] })).toBe("job.py")
    expect(entryOf({ runtime: "python", files: [file("lib.py"), file("main.py")] })).toBe("main.py")
    expect(entryOf({ runtime: "python", files: [file("a.py"), file("b.py")], entry: "b.py" })).toBe("b.py")
    expect(entryOf({ runtime: "python", files: [file("lib.py")], code: "import lib" })).toBe("main.py")
  })

  it("a handler gets its input or null; an image its files", () => {
    expect(prepare({ handler: "resize" }, context()).program).toEqual({
      kind: "handler",
      handler: "resize",
      input: null,
    })
    expect(prepare({ handler: "any", input: 1 }, context({ handlers: null })).program).toMatchObject({ input: 1 })
    const { program } = prepare(image({ stdin: "aGk=", stdinEncoding: "base64" }), context())
    expect(program).toMatchObject({ kind: "image", files: [], stdin: { content: "aGk=", encoding: "base64" } })
  })

  it("a part of a retry policy keeps the defaults of the rest; a start in the past is a start now", () => {
    const { spec } = prepare(python({ maxAttempts: 3, retry: { factor: 3 }, startAtMs: NOW_MS - 1 }), context())
    expect(spec.retry).toEqual({ ...RETRY_DEFAULT, maxAttempts: 3, factor: 3 })
    expect(spec.startAtMs).toBeNull()
    expect(prepare(python({ startAtMs: NOW_MS + 1 }), context()).spec.startAtMs).toBe(NOW_MS + 1)
  })

  it("wishes for memory, CPU, processes and disk are kept", () => {
    const limits = { memoryBytes: 64 * 1024 * 1024, cpuMilli: 500, pidsMax: 9, tmpfsBytes: 1024 * 1024 }
    expect(prepare(python({ limits }), context()).spec.limits).toEqual(limits)
  })
})

describe("what is refused, and where?", () => {
  it.each<[string, SubmitRequest, string, string]>([
    ["no target", {}, "INVALID_PARAMS", "params.runtime"],
    ["two targets", python({ image: "alpine" }), "INVALID_PARAMS", "params.runtime"],
    ["an unknown runtime", { runtime: "cobol", code: "1" }, "RUNTIME_UNKNOWN", "params.runtime"],
    ["a handler nobody registered", { handler: "other" }, "HANDLER_UNKNOWN", "params.handler"],
    ["input for a program", python({ input: 1 }), "INVALID_PARAMS", "params.input"],
    ["a command for a runtime", python({ command: ["x"] }), "INVALID_PARAMS", "params.command"],
    ["code for an image", image({ code: "1" }), "INVALID_PARAMS", "params.code"],
    ["an image without a command", { image: "alpine" }, "INVALID_PARAMS", "params.command"],
    ["an image with an empty command", { image: "alpine", command: [] }, "INVALID_PARAMS", "params.command"],
    ["a runtime without code", { runtime: "python" }, "INVALID_PARAMS", "params.entry"],
    [
      "an entry that is not there",
      { runtime: "python", files: [{ path: "a.py", content: "" }], entry: "b.py" },
      "INVALID_PARAMS",
      "params.entry",
    ],
    ["one path twice", python({ files: [{ path: "main.py", content: "" }] }), "INVALID_PARAMS", "params.files"],
    ["too long a time limit", python({ timeoutMs: 100_001 }), "INVALID_PARAMS", "params.timeoutMs"],
    [
      "too much memory",
      python({ limits: { memoryBytes: 512 * 1024 * 1024 + 1 } }),
      "INVALID_PARAMS",
      "params.limits.memoryBytes",
    ],
    ["a start limit in the past", python({ startByMs: NOW_MS - 1 }), "INVALID_PARAMS", "params.startByMs"],
    ["a start far ahead", python({ startAtMs: AHEAD_MS + 1 }), "INVALID_PARAMS", "params.startAtMs"],
    ["a start limit far ahead", python({ startByMs: AHEAD_MS + 1 }), "INVALID_PARAMS", "params.startByMs"],
    [
      "a start limit before the start",
      python({ startAtMs: NOW_MS + 10, startByMs: NOW_MS + 9 }),
      "INVALID_PARAMS",
      "params.startByMs",
    ],
  ])("%s", (_, request, code, path) => {
    expect(refusal(request)).toEqual({ code, path })
  })

  it.each(["code", "files", "entry", "command", "args", "env", "stdin", "artifacts", "limits"] as const)(
    "%s for a handler",
    (field) => {
      const request = { handler: "resize", [field]: field === "artifacts" ? true : [] } as SubmitRequest
      expect(refusal(request)).toEqual({ code: "INVALID_PARAMS", path: `params.${field}` })
    },
  )

  it("a limit exactly reached is taken", () => {
    const limits = { memoryBytes: 512 * 1024 * 1024 }
    expect(prepare(python({ timeoutMs: 100_000, limits }), context()).spec.timeoutMs).toBe(100_000)
    for (const atMs of [NOW_MS + 9, AHEAD_MS])
      expect(prepare(python({ startAtMs: atMs, startByMs: atMs }), context()).spec.startByMs).toBe(atMs)
  })

  it("a program of the most bytes is taken, one more is not, and bytes are bytes", () => {
    const rest = programBytes(prepare(python({ code: "" }), context()).program)
    const room = LIMITS.programBytesMax - rest
    expect(() => prepare(python({ code: "a".repeat(room) }), context())).not.toThrow()
    expect(refusal(python({ code: "a".repeat(room + 1) }))).toEqual({ code: "TOO_LARGE", path: "params.files" })
    expect(refusal(python({ code: "ä".repeat(Math.ceil((room + 1) / 2)) }))).toMatchObject({ code: "TOO_LARGE" })
  })
})

describe("which lane may it use?", () => {
  it("every lane from the token's most urgent one down; another one is FORBIDDEN", () => {
    for (const laneMax of LANES)
      for (const lane of LANES) {
        if (laneRank(lane) >= laneRank(laneMax)) expect(laneAllowed(lane, laneMax)).toBe(lane)
        else expect(refusal(python({ lane }), { laneMax })).toEqual({ code: "FORBIDDEN", path: "params.lane" })
      }
  })

  it("the usual one is normal, or the best that is allowed", () => {
    expect(LANES.map((laneMax) => laneAllowed(undefined, laneMax))).toEqual(["normal", "normal", "normal", "low"])
  })
})
