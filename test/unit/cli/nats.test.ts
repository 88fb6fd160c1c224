import { describe, expect, it } from "vitest"
import { makeCliHost } from "../../../gateway/main/cliHost.ts"
import { runCli } from "../../../gateway/cli/program.ts"
import { fakeHost } from "../../support/cliHost.ts"

const run = async (...words: string[]) => {
  const { brokerPermissions } = makeCliHost({})
  const { host, err, out } = fakeHost({ more: { brokerPermissions } })
  const code = await runCli(["nats", "permissions", ...words], host)
  return { code, out: out(), err: err() }
}

describe("berth nats permissions", () => {
  it("prints what nats-server's configuration takes, for one worker of one pool", async () => {
    const { code, out } = await run("--role", "worker", "--worker", "w1", "--pool", "gpu", "--cluster", "prod")
    expect(code).toBe(0)
    expect(out).toMatch(/^permissions: \{\n {2}publish: \{ allow: \[\n/)
    expect(out).toContain('"$KV.BERTH_prod_LEASES.w.w1"')
    expect(out).toContain('"$JS.ACK.BERTH_prod_QUEUE.gpu_urgent.>"')
    expect(out).not.toContain("STREAM.CREATE")
  })

  it("prints the sum of several roles as data", async () => {
    const { out } = await run("--role", "gateway,leader", "--json")
    const { publish, subscribe } = JSON.parse(out) as { publish: string[]; subscribe: string[] }
    expect(publish).toContain("berth.main.bury")
    expect(publish).toContain("$JS.API.STREAM.CREATE.BERTH_main_LOG")
    expect(new Set(publish).size).toBe(publish.length)
    expect(subscribe).toContain("_INBOX.>")
  })

  it.each([
    [["--role", "worker"], "--worker"],
    [["--role", "king"], "--role"],
    [["--role", "gateway", "--cluster", "a.b"], "cluster"],
    [[], "--role"],
  ])("says what is wrong with %j", async (words, named) => {
    const { code, err } = await run(...words)
    expect(code).toBe(125)
    expect(err).toContain(named)
  })
})
