import { request as httpRequest } from "node:http"
import { Effect, Result } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { connectRaw, type Door, openDoor } from "../../support/door.ts"
import { SILENT } from "../../support/silent.ts"

let door: Door
let token: string
const logged: object[] = []

beforeAll(async () => {
  door = await openDoor({ logger: { ...SILENT, error: (fields) => void logged.push(fields) } })
  token = await door.token("ann")
})
afterAll(() => door.close())

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Buffer
}
/** A request whose path is sent as it is; `fetch` would make it normal. */
const ask = (path: string, headers: Record<string, string> = {}, method = "GET"): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const request = httpRequest({ host: "127.0.0.1", port: door.server.port, path, method, headers }, (response) => {
      const parts: Buffer[] = []
      response.on("data", (part: Buffer) => parts.push(part))
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts) }),
      )
    })
    request.on("error", reject)
    request.end()
  })
const codeOf = ({ status, body }: Answer) => `${status} ${JSON.parse(body.toString()).error.code}`
const auth = (value = token) => ({ authorization: `Bearer ${value}` })

describe("health and readiness", () => {
  it("health is whether it answers, ready whether it may be asked", async () => {
    expect((await ask("/health")).status).toBe(200)
    expect((await ask("/ready")).status).toBe(200)
    door.tasks.ready = false
    const answer = await ask("/ready")
    expect([answer.status, JSON.parse(answer.body.toString()).status]).toEqual([503, "not ready"])
    expect((await ask("/health")).status).toBe(200)
    door.tasks.ready = true
  })

  it("probes may use any Host, nothing else may", async () => {
    expect((await ask("/health", { host: "10.0.0.1" })).status).toBe(200)
    for (const path of ["/metrics", "/v1/tasks/a/artifacts/b", "/"]) {
      expect([path, codeOf(await ask(path, { host: "evil.example", ...auth() }))]).toEqual([path, "403 FORBIDDEN"])
    }
  })
})

describe("metrics", () => {
  it("count what the door does, with names of methods that exist and no others", async () => {
    const client = await connectRaw(door, token)
    await client.call("system.info")
    await client.call("made.up.by.me", {})
    await client.call("task.get", { id: "nobodys" })
    client.sendText("{")
    await client.next()
    const answer = await ask("/metrics")
    const text = answer.body.toString()
    expect(answer.headers["content-type"]).toContain("text/plain")
    for (const line of [
      "berth_door_connections 1",
      'berth_door_call_ms_count{method="system.info",error="none"} 1',
      'berth_door_call_ms_count{method="unknown",error="METHOD_NOT_FOUND"} 1',
      'berth_door_call_ms_count{method="task.get",error="NOT_FOUND"} 1',
      'berth_door_refused_total{error="PARSE_ERROR"} 1',
      'berth_door_upgrades_total{status="101"} 1',
    ]) {
      expect(text).toContain(line)
    }
    expect(text).not.toContain("made.up.by.me")
    client.close()
  })
})

describe("artifacts", () => {
  it("come as they are, to be saved and never shown", async () => {
    const task = door.tasks.add("ann")
    const bytes = new Uint8Array([0, 255, 13, 10])
    const path = `charts/a "q'ü.html`
    door.tasks.artifacts.set(`${task.id} ${path}`, bytes)
    const answer = await ask(`/v1/tasks/${task.id}/artifacts/${encodeURIComponent(path)}`, auth())
    expect(answer.status).toBe(200)
    expect([...answer.body]).toEqual([...bytes])
    expect(answer.headers).toMatchObject({
      "content-type": "application/octet-stream",
      "content-disposition": "attachment; filename*=UTF-8''a%20%22q%27%C3%BC.html",
      "x-content-type-options": "nosniff",
      "cache-control": "no-store",
      "content-length": "4",
    })
    const head = await ask(`/v1/tasks/${task.id}/artifacts/${encodeURIComponent(path)}`, auth(), "HEAD")
    expect([head.status, head.headers["content-length"], head.body.length]).toEqual([200, "4", 0])
  })

  it("need a token, in the header, of the owner; foreign and unknown look the same", async () => {
    const task = door.tasks.add("ann")
    door.tasks.artifacts.set(`${task.id} a`, new Uint8Array([1]))
    const path = `/v1/tasks/${task.id}/artifacts/a`
    expect((await ask(path, auth())).status).toBe(200)
    expect(codeOf(await ask(path))).toBe("401 UNAUTHORIZED")
    expect((await ask(path)).headers["www-authenticate"]).toBe("Bearer")
    expect(codeOf(await ask(path, auth("garbage")))).toBe("401 UNAUTHORIZED")
    expect(codeOf(await ask(`${path}?token=${token}`))).toBe("401 UNAUTHORIZED")
    const bob = auth(await door.token("bob"))
    const [foreign, unknown] = [await ask(path, bob), await ask("/v1/tasks/nobodys/artifacts/a", bob)]
    expect([codeOf(foreign), codeOf(unknown)]).toEqual(["404 NOT_FOUND", "404 NOT_FOUND"])
    expect(foreign.body.toString().replace(task.id, "ID")).toBe(unknown.body.toString().replace("nobodys", "ID"))
  })

  it("have no address that leaves their task", async () => {
    const before = door.tasks.calls.length
    for (const path of [
      "../secret",
      "a/../../b",
      "%2e%2e/secret",
      "..%2fsecret",
      "%2fetc%2fpasswd",
      "a//b",
      "a%00b",
      "a%0d%0ab",
      "a%5cb",
      "%ff",
      "%zz",
      "x".repeat(300),
      Array.from({ length: 17 }, () => "d").join("/"),
    ]) {
      expect([path, codeOf(await ask(`/v1/tasks/t/artifacts/${path}`, auth()))]).toEqual([path, "400 INVALID_PARAMS"])
    }
    for (const id of ["a.b", "*", "%3e", "a%20b", "x".repeat(65)]) {
      expect([id, codeOf(await ask(`/v1/tasks/${id}/artifacts/a`, auth()))]).toEqual([id, "400 INVALID_PARAMS"])
    }
    expect(door.tasks.calls.length).toBe(before)
  })
})

describe("everything else", () => {
  it("is not found, or not taken", async () => {
    for (const path of ["/", "/v1", "/v1/tasks", "/admin", "/.env", "/metrics/", "/health/x"]) {
      expect([path, codeOf(await ask(path))]).toEqual([path, "404 NOT_FOUND"])
    }
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"]) {
      const answer = await ask("/v1/tasks/a/artifacts/b", auth(), method)
      expect([method, codeOf(answer), answer.headers["allow"]]).toEqual([method, "405 METHOD_NOT_FOUND", "GET, HEAD"])
    }
  })

  it("a service with a defect is answered for, without a word of it but to the log", async () => {
    const defect = new Error("the secret of the house")
    door.tasks.hold = Effect.die(defect)
    const answer = await ask("/v1/tasks/t/artifacts/a", auth())
    door.tasks.hold = null
    expect(codeOf(answer)).toBe("500 INTERNAL")
    expect(answer.body.toString()).not.toContain("house")
    expect(logged).toEqual([{ route: "artifact", err: defect }])
  })
})

describe("closing", () => {
  it("tells everybody, lets nobody in, and can be done twice", async () => {
    for (const [why, code] of [
      ["restart", 1012],
      ["goingAway", 1001],
    ] as const) {
      const own = await openDoor()
      const client = await connectRaw(own, await own.token())
      const deaf = await connectRaw(own, await own.token())
      deaf.socket.pause()
      await Effect.runPromise(Effect.all([own.server.close(why), own.server.close(why)], { concurrency: "unbounded" }))
      expect(await client.closed).toMatchObject({ code, reason: expect.stringMatching(/^SHUTTING_DOWN/) })
      deaf.socket.resume()
      await deaf.closed
      expect(own.server.connections()).toBe(0)
      await expect(connectRaw(own, await own.token())).rejects.toThrow()
    }
  })

  it("a port that is taken is said to be", async () => {
    const result = await openDoor({ port: door.server.port }).then(
      () => null,
      (error: unknown) => error,
    )
    expect(String(result)).toContain(String(door.server.port))
    expect(Result.isResult(result)).toBe(false)
  })
})
