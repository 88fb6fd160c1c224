import { Result } from "effect"
import { describe, expect, it } from "vitest"
import { LIMITS } from "../../../core/limits.ts"
import { RESERVED_FIELDS } from "../../../core/task/request.ts"
import { decodeParams } from "../../../gateway/protocol/decode.ts"

const told = (request: unknown) => {
  const decoded = decodeParams("task.submit", request)
  return Result.isSuccess(decoded) ? "ok" : `${decoded.failure.code} ${decoded.failure.path}`
}
const withCode = (more: object) => told({ runtime: "python", code: "1", ...more })
const many = <A>(count: number, make: (at: number) => A): A[] => Array.from({ length: count }, (_, at) => make(at))
const named = (count: number, prefix: string) => Object.fromEntries(many(count, (at) => [`${prefix}${at}`, "v"]))

describe("one more than each limit is refused, with its place", () => {
  const cases: readonly [name: string, good: object, bad: object, path: string][] = [
    [
      "files",
      { files: many(LIMITS.filesMax, (at) => ({ path: `f${at}`, content: "" })) },
      { files: many(LIMITS.filesMax + 1, (at) => ({ path: `f${at}`, content: "" })) },
      "params.files",
    ],
    [
      "a path",
      { files: [{ path: "x".repeat(LIMITS.filePathBytesMax), content: "" }] },
      { files: [{ path: "é".repeat(LIMITS.filePathBytesMax / 2 + 1), content: "" }] },
      "params.files[0].path",
    ],
    [
      "arguments",
      { args: many(LIMITS.argsMax, () => "a") },
      { args: many(LIMITS.argsMax + 1, () => "a") },
      "params.args",
    ],
    ["variables", { env: named(LIMITS.envMax, "V") }, { env: named(LIMITS.envMax + 1, "V") }, "params.env"],
    [
      "a variable's name",
      { env: { ["V".repeat(LIMITS.envNameBytesMax)]: "" } },
      { env: { ["V".repeat(LIMITS.envNameBytesMax + 1)]: "" } },
      `params.env["${"V".repeat(64)}"]`,
    ],
    [
      "a variable's value",
      { env: { V: "x".repeat(LIMITS.envValueBytesMax) } },
      { env: { V: "x".repeat(LIMITS.envValueBytesMax + 1) } },
      "params.env.V",
    ],
    ["labels", { labels: named(LIMITS.labelsMax, "l") }, { labels: named(LIMITS.labelsMax + 1, "l") }, "params.labels"],
    [
      "a label's value",
      { labels: { l: "x".repeat(LIMITS.labelBytesMax) } },
      { labels: { l: "x".repeat(LIMITS.labelBytesMax + 1) } },
      "params.labels.l",
    ],
    [
      "attempts",
      { maxAttempts: LIMITS.maxAttemptsMax },
      { maxAttempts: LIMITS.maxAttemptsMax + 1 },
      "params.maxAttempts",
    ],
    ["the time limit", { timeoutMs: LIMITS.timeoutMsMax }, { timeoutMs: LIMITS.timeoutMsMax + 1 }, "params.timeoutMs"],
    ["a time limit of nothing", { timeoutMs: 1 }, { timeoutMs: 0 }, "params.timeoutMs"],
    ["the grace period", { graceMs: LIMITS.graceMsMax }, { graceMs: LIMITS.graceMsMax + 1 }, "params.graceMs"],
    [
      "a delay",
      { retry: { delayMsMax: LIMITS.retryDelayMsMax } },
      { retry: { delayMsMax: LIMITS.retryDelayMsMax + 1 } },
      "params.retry.delayMsMax",
    ],
    [
      "the least memory",
      { limits: { memoryBytes: LIMITS.memoryBytesMin } },
      { limits: { memoryBytes: LIMITS.memoryBytesMin - 1 } },
      "params.limits.memoryBytes",
    ],
    [
      "the idempotency key",
      { idempotencyKey: "k".repeat(LIMITS.idempotencyKeyBytesMax) },
      { idempotencyKey: "k".repeat(LIMITS.idempotencyKeyBytesMax + 1) },
      "params.idempotencyKey",
    ],
  ]
  it.each(cases)("%s", (_name, good, bad, path) => {
    expect(withCode(good)).toBe("ok")
    expect(withCode(bad)).toBe(`INVALID_PARAMS ${path}`)
  })

  it("and the message names the limit", () => {
    const decoded = decodeParams("task.submit", { runtime: "python", code: "1", timeoutMs: LIMITS.timeoutMsMax + 1 })
    expect(Result.isFailure(decoded) && decoded.failure.message).toContain(String(LIMITS.timeoutMsMax))
  })
})

describe("which fields belong together", () => {
  it("exactly one of runtime, image and handler", () => {
    expect(told({})).toBe("INVALID_PARAMS params")
    expect(withCode({ image: "debian" })).toBe("INVALID_PARAMS params.image")
    expect(withCode({ handler: "h" })).toBe("INVALID_PARAMS params.handler")
    expect(told({ handler: "h", input: [1, { a: null }] })).toBe("ok")
    expect(told({ image: "debian:12", command: ["true"], files: [{ path: "a/b", content: "" }] })).toBe("ok")
  })

  it("what only programs have is not for handlers, and the other way round", () => {
    for (const field of ["code", "files", "entry", "command", "args", "env", "stdin", "limits", "artifacts"]) {
      const values: Record<string, unknown> = {
        files: [],
        args: [],
        command: ["a"],
        env: {},
        limits: {},
        artifacts: true,
      }
      expect(told({ handler: "h", [field]: values[field] ?? "x" })).toBe(`INVALID_PARAMS params.${field}`)
    }
    expect(withCode({ input: 1 })).toBe("INVALID_PARAMS params.input")
    expect(withCode({ command: ["x"] })).toBe("INVALID_PARAMS params.command")
  })

  it("a runtime needs a program, an image a command, base64 its padding", () => {
    expect(told({ runtime: "python" })).toBe("INVALID_PARAMS params.code")
    expect(told({ runtime: "python", files: [] })).toBe("INVALID_PARAMS params.code")
    expect(told({ image: "debian" })).toBe("INVALID_PARAMS params.command")
    expect(told({ image: "debian", command: [] })).toBe("INVALID_PARAMS params.command")
    expect(withCode({ stdinEncoding: "base64" })).toBe("INVALID_PARAMS params.stdinEncoding")
    expect(withCode({ stdin: "YQ", stdinEncoding: "base64" })).toBe("INVALID_PARAMS params.stdin")
    expect(told({ runtime: "c", files: [{ path: "a.c", content: "!", encoding: "base64" }] })).toBe(
      "INVALID_PARAMS params.files[0].content",
    )
  })

  it("an entry is one of the files, and no path is a file and a folder at once", () => {
    const files = [
      { path: "lib/a.py", content: "" },
      { path: "main.py", content: "" },
    ]
    expect(told({ runtime: "python", files, entry: "main.py" })).toBe("ok")
    expect(told({ runtime: "python", files, entry: "other.py" })).toBe("INVALID_PARAMS params.entry")
    expect(told({ runtime: "python", files: [...files, { path: "lib", content: "" }] })).toBe(
      "INVALID_PARAMS params.files[0].path",
    )
    expect(told({ runtime: "python", files: [...files, { path: "main.py", content: "" }] })).toBe(
      "INVALID_PARAMS params.files[2].path",
    )
  })

  it("times and delays are in order", () => {
    expect(withCode({ startAtMs: 2_000, startByMs: 1_000 })).toBe("INVALID_PARAMS params.startByMs")
    expect(withCode({ retry: { delayMsInitial: 10, delayMsMax: 5 } })).toBe("INVALID_PARAMS params.retry.delayMsMax")
  })
})

describe("what never gets in", () => {
  it("paths that leave the program's folder, or are not normal", () => {
    for (const path of [
      "",
      "/etc/passwd",
      "../a",
      "a/../b",
      "a//b",
      "./a",
      "a/.",
      "a/",
      "..",
      "a\\b",
      "a\u0000b",
      "a\nb",
      "a\u2028b",
    ]) {
      expect([path, told({ runtime: "c", files: [{ path, content: "" }] })]).toEqual([
        path,
        "INVALID_PARAMS params.files[0].path",
      ])
    }
    for (const path of ["a", "a/b.c", "..a", "a..b", ".hidden", "Ünï/x y"]) {
      expect([path, told({ runtime: "c", files: [{ path, content: "" }] })]).toEqual([path, "ok"])
    }
  })

  it("NUL in arguments, commands, variables and keys", () => {
    expect(withCode({ args: ["ok", "a\u0000b"] })).toBe("INVALID_PARAMS params.args[1]")
    expect(told({ image: "debian", command: ["a\u0000b"] })).toBe("INVALID_PARAMS params.command[0]")
    expect(withCode({ env: { A: "a\u0000b" } })).toBe("INVALID_PARAMS params.env.A")
    expect(withCode({ idempotencyKey: "\u0000" })).toBe("INVALID_PARAMS params.idempotencyKey")
  })

  it("names of variables and labels that are none", () => {
    for (const name of ["", "1A", "A B", "A=B", "A-B", "É"]) {
      expect([name, withCode({ env: { [name]: "" } }).startsWith("INVALID_PARAMS params.env")]).toEqual([name, true])
    }
    for (const name of ["", "-a", "a b", "a\r\n"]) {
      expect([name, withCode({ labels: { [name]: "" } }).startsWith("INVALID_PARAMS params.labels")]).toEqual([
        name,
        true,
      ])
    }
    expect(withCode({ labels: { a: "red\u001b[31m" } })).toBe("INVALID_PARAMS params.labels.a")
  })

  it("pools and requirements that are none", () => {
    expect(withCode({ pool: "gpu-1", requires: { handler: "h.1", isolation: "kata", labels: { zone: "eu" } } })).toBe(
      "ok",
    )
    expect(withCode({ pool: "a.b" })).toBe("INVALID_PARAMS params.pool")
    expect(withCode({ pool: "x".repeat(65) })).toBe("INVALID_PARAMS params.pool")
    expect(withCode({ requires: { zone: "eu" } })).toBe("INVALID_PARAMS params.requires.zone")
    expect(withCode({ requires: { isolation: "vm" } })).toBe("INVALID_PARAMS params.requires.isolation")
    expect(withCode({ requires: { labels: named(LIMITS.labelsMax + 1, "l") } })).toBe(
      "INVALID_PARAMS params.requires.labels",
    )
  })

  it("fields that nobody knows, at any depth", () => {
    for (const field of ["owner", "epoch", "priority", "status", "id", "requestHash", "Runtime"]) {
      expect(withCode({ [field]: 1 })).toBe(`INVALID_PARAMS params.${field}`)
    }
    expect(withCode({ retry: { delay: 1 } })).toBe("INVALID_PARAMS params.retry.delay")
    expect(withCode({ limits: { cpus: 1 } })).toBe("INVALID_PARAMS params.limits.cpus")
    expect(told({ runtime: "c", files: [{ path: "a", content: "", mode: 1 }] })).toBe(
      "INVALID_PARAMS params.files[0].mode",
    )
  })

  it("fields that are reserved: NOT_YET, whatever else is wrong", () => {
    for (const field of RESERVED_FIELDS) expect(told({ [field]: 1, other: 2 })).toBe(`NOT_YET params.${field}`)
  })

  it("values of the wrong kind, and numbers that are no whole ones", () => {
    expect(withCode({ lane: "top" })).toBe("INVALID_PARAMS params.lane")
    expect(withCode({ onLost: "ignore" })).toBe("INVALID_PARAMS params.onLost")
    expect(withCode({ timeoutMs: 1.5 })).toBe("INVALID_PARAMS params.timeoutMs")
    expect(withCode({ timeoutMs: "10s" })).toBe("INVALID_PARAMS params.timeoutMs")
    expect(withCode({ artifacts: 1 })).toBe("INVALID_PARAMS params.artifacts")
    expect(withCode({ args: "a" })).toBe("INVALID_PARAMS params.args")
    expect(withCode({ env: [] })).not.toBe("ok")
    for (const request of [null, [], 5, "x", true]) expect(told(request).startsWith("INVALID_PARAMS")).toBe(true)
  })
})
