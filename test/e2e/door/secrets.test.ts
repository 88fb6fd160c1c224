/** Secrets at the door: whose they are, what is refused, and that a value comes back in nothing. */
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { LIMITS } from "../../../core/limits.ts"
import { connectRaw, type Door, openDoor, type RawClient } from "../../support/door.ts"

const VALUE = "canary-at-the-door-51f0"

let door: Door
let ann: RawClient
let logged: string[]

beforeEach(async () => {
  logged = []
  const log = (...words: unknown[]): void => void logged.push(JSON.stringify(words))
  door = await openDoor({ logger: { debug: log, info: log, warn: log, error: log } })
  ann = await connectRaw(door, await door.token("ann"))
})
afterEach(async () => {
  ann.close()
  await door.close()
})

describe("secrets", () => {
  it("are set, listed by name and removed, and no answer or log line has a value", async () => {
    const answers = [
      await ann.call("secret.set", { name: "B", value: VALUE }),
      await ann.call("secret.set", { name: "A", value: VALUE }),
      await ann.call("secret.list"),
      await ann.call("secret.delete", { name: "B" }),
      await ann.call("secret.delete", { name: "B" }),
      await ann.call("secret.list"),
    ]
    expect(answers.map(({ result }) => result)).toEqual([
      {},
      {},
      { names: ["A", "B"] },
      { removed: true },
      { removed: false },
      { names: ["A"] },
    ])
    expect(JSON.stringify(answers)).not.toContain(VALUE)
    expect(logged.length).toBeGreaterThan(0)
    expect(logged.join("\n")).not.toContain(VALUE)
  })

  it("are each owner's own, an admin's too", async () => {
    await ann.call("secret.set", { name: "TOKEN", value: VALUE })
    const root = await connectRaw(door, await door.token("root", { role: "admin" }))
    expect((await root.call("secret.list")).result).toEqual({ names: [] })
    expect((await root.call("secret.delete", { name: "TOKEN" })).result).toEqual({ removed: false })
    expect((await root.call("secret.list", { owner: "ann" })).error.data.path).toBe("params.owner")
    expect((await root.call("secret.set", { name: "X", value: "x", owner: "ann" })).error.data.path).toBe(
      "params.owner",
    )
    expect((await ann.call("secret.list")).result).toEqual({ names: ["TOKEN"] })
    root.close()
  })

  it.each([
    ["a name that is no variable", { name: "A-B", value: VALUE }, "params.name"],
    ["a name that a shell keeps", { name: "PPID", value: VALUE }, "params.name"],
    ["a name one too long", { name: "A".repeat(129), value: VALUE }, "params.name"],
    ["an empty value", { name: "A", value: "" }, "params.value"],
    ["a value with NUL", { name: "A", value: `${VALUE}\0` }, "params.value"],
    ["a value one byte too long", { name: "A", value: VALUE.padEnd(LIMITS.secretBytesMax + 1, "x") }, "params.value"],
    ["a value that is no text", { name: "A", value: { secret: VALUE } }, "params.value"],
    ["a value under another name", { name: "A", valu: VALUE, value: "x" }, "params.valu"],
    ["a value as the name", { name: `${VALUE}=1`, value: "x" }, "params.name"],
  ])("%s is refused, and the refusal does not repeat it", async (_what, params, path) => {
    const { error } = await ann.call("secret.set", params)
    expect(error.data).toMatchObject({ code: "INVALID_PARAMS", path })
    expect(JSON.stringify(error)).not.toContain(VALUE)
    expect(logged.join("\n")).not.toContain(VALUE)
    expect((await ann.call("secret.list")).result).toEqual({ names: [] })
  })

  it("that a task names are taken with it; twice, beside a variable of the same name, or too many are refused", async () => {
    const submit = async (more: object) => {
      const { error, result } = await ann.call("task.submit", { runtime: "python", code: "1", ...more })
      return error?.data.path ?? result.task.status
    }
    const many = Array.from({ length: LIMITS.taskSecretsMax + 1 }, (_, index) => `S${index}`)
    expect(await submit({ secrets: many.slice(1) })).toBe("pending")
    expect(await submit({ secrets: many })).toBe("params.secrets")
    expect(await submit({ secrets: ["A", "B", "A"] })).toBe("params.secrets[2]")
    expect(await submit({ secrets: ["A"], env: { A: "1" } })).toBe("params.secrets[0]")
    expect(await submit({ secrets: ["A-B"] })).toBe("params.secrets[0]")
    const handler = await ann.call("task.submit", { handler: "h", secrets: ["A"] })
    expect(handler.error.data.path).toBe("params.secrets")
  })
})
