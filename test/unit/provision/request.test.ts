import { describe, expect, it } from "vitest"
import { RUNTIMES } from "../../../core/runtime/catalogue.ts"
import { DEFAULT_RUNTIMES } from "../../../gateway/provision/images.ts"
import { parseRequest } from "../../../gateway/provision/request.ts"

describe("what provision is asked for", () => {
  it("wants the default runtimes and both series of brokers, leniently, when nothing is said", () => {
    expect(parseRequest([], [])).toEqual({
      json: false,
      runtimes: DEFAULT_RUNTIMES,
      nats: ["newest", "2.10"],
      strict: { docker: false, nats: false },
    })
  })

  it("leaves the brokers out where none is wanted, whoever requires one", () => {
    for (const require of [[], ["nats"]]) {
      expect(parseRequest(["--no-nats"], require)).toEqual({
        json: false,
        runtimes: DEFAULT_RUNTIMES,
        nats: [],
        strict: { docker: false, nats: false },
      })
    }
  })

  it("is strict about what BERTH_REQUIRE names", () => {
    expect(parseRequest(["--json"], ["docker", "nats"])).toEqual({
      json: true,
      runtimes: DEFAULT_RUNTIMES,
      nats: ["newest", "2.10"],
      strict: { docker: true, nats: true },
    })
  })

  it("takes names and aliases, and then gets those alone", () => {
    expect(parseRequest(["c++", "RUBY"], [])).toMatchObject({
      runtimes: ["cpp", "ruby"],
      nats: [],
      strict: { docker: true },
    })
    expect(parseRequest(["ruby"], ["nats"])).toMatchObject({ nats: ["newest", "2.10"], strict: { nats: true } })
    expect(parseRequest(["nats", "nats-2.10"], [])).toMatchObject({
      runtimes: [],
      nats: ["newest", "2.10"],
      strict: { docker: false, nats: true },
    })
  })

  it("gets every runtime with --all", () => {
    expect(parseRequest(["--all"], [])).toMatchObject({
      runtimes: RUNTIMES.map(({ name }) => name),
      strict: { docker: true, nats: false },
    })
  })

  it.each([["cobol"], ["--fast"], ["constructor"]])("refuses %s, and says what there is", (word) => {
    expect(parseRequest([word], [])).toMatch(new RegExp(`unknown (name|option) ${word}; there are `))
  })
})
