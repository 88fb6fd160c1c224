import { describe, expect, it } from "vitest"
import { parseSources } from "../../../gateway/provision/debian.ts"
import { parseHost } from "../../../gateway/provision/engine.ts"
import { progressError } from "../../../gateway/provision/engineClient.ts"
import { recipeHash } from "../../../gateway/provision/images.ts"
import { compareVersions, serves } from "../../../gateway/provision/nats.ts"

describe("what apt answers", () => {
  it("keeps the distribution's own sources, each once, and nobody else's", () => {
    const text = [
      "Debian|http://mirror.example/debian/|bookworm|main",
      "Debian|http://mirror.example/debian/|bookworm|main",
      "Debian|http://mirror.example/debian/|bookworm-updates|main",
      "Somebody|http://packages.example/|stable|main",
      "Debian|http://mirror.example/debian/||main",
      "",
    ].join("\n")
    expect(parseSources(text)).toEqual([
      { uri: "http://mirror.example/debian/", suite: "bookworm", component: "main" },
      { uri: "http://mirror.example/debian/", suite: "bookworm-updates", component: "main" },
    ])
  })
})

describe("what the engine answers", () => {
  it("finds the error of a stream that began with success", () => {
    const text = '{"status":"Pulling"}\n{"errorDetail":{"message":"no such host"},"error":"no such host"}\n'
    expect(progressError({ status: 200, text })).toBe("no such host")
    expect(progressError({ status: 404, text: '{"message":"no such image"}\n' })).toBe("no such image")
    expect(progressError({ status: 500, text: "" })).toBe("the engine answered 500")
    expect(progressError({ status: 200, text: '{"status":"done"}\n' })).toBeNull()
    expect(progressError({ status: 502, text: "<html>Bad gateway</html>" })).toBe("the engine answered 502")
  })

  it.each([
    ["unix:///run/a.sock", { socketPath: "/run/a.sock" }],
    ["tcp://10.0.0.1:2376", { host: "10.0.0.1", port: 2376 }],
    ["tcp://engine", { host: "engine", port: 2375 }],
    ["ssh://root@engine", null],
    ["tcp://[", null],
  ])("reads the address %s", (host, address) => {
    expect(parseHost(host)).toEqual(address)
  })
})

describe("versions", () => {
  it("orders by number, not by letter", () => {
    const sorted = ["2.9.10", "2.15.1", "2.10.27", "2.10.3", "2.10"].sort(compareVersions)
    expect(sorted).toEqual(["2.9.10", "2.10", "2.10.3", "2.10.27", "2.15.1"])
  })

  it("tells a series from one that only begins like it", () => {
    expect(serves("2.10", { path: "", version: "2.10.27" })).toBe(true)
    expect(serves("2.10", { path: "", version: "2.1.0" })).toBe(false)
    expect(serves("newest", { path: "", version: "2.15.1" })).toBe(true)
  })

  it("gives a recipe another hash when a package or a link changes", () => {
    const recipe = { packages: ["a", "b"], links: { "/x": "/y" } }
    const others = [
      { ...recipe, packages: ["a"] },
      { ...recipe, links: { "/x": "/z" } },
    ]
    expect(new Set([recipe, { ...recipe }, ...others].map(recipeHash)).size).toBe(3)
  })
})
