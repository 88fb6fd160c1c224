import { describe, expect, it } from "vitest"
import { commandsFor, RUNTIMES, runtimeByName, runtimeForFile } from "../../../core/runtime/catalogue.ts"

describe("the catalogue of runtimes", () => {
  it("holds the twelve languages", () => {
    const names = ["bash", "c", "cpp", "go", "java", "lua", "node", "perl", "php", "python", "ruby", "typescript"]
    expect(RUNTIMES.map(({ name }) => name).sort()).toEqual(names)
  })

  it("gives every name, alias and extension to one runtime only", () => {
    const names = RUNTIMES.flatMap(({ aliases, name }) => [name, ...aliases])
    const extensions = RUNTIMES.flatMap((runtime) => runtime.extensions)
    expect(new Set(names).size).toBe(names.length)
    expect(new Set(extensions).size).toBe(extensions.length)
  })

  it.each([
    ["c++", "cpp"],
    ["JavaScript", "node"],
    ["sh", "bash"],
    ["toString", undefined],
    ["", undefined],
  ])("finds %s by name or alias", (name, found) => {
    expect(runtimeByName(name)?.name).toBe(found)
  })

  it.each([
    ["src/main.PY", "python"],
    ["a.test.mjs", "node"],
    ["Main.java", "java"],
    ["Makefile", undefined],
    ["folder.c/readme", undefined],
    ["", undefined],
  ])("guesses the runtime of %s", (path, found) => {
    expect(runtimeForFile(path)?.name).toBe(found)
  })

  it("knows its own main files, pins every tag, and runs what it says in every image", () => {
    for (const runtime of RUNTIMES) {
      expect(runtimeForFile(runtime.mainFile)).toBe(runtime)
      for (const image of [runtime.image, runtime.localImage]) {
        expect(image).toMatch(/^[a-z0-9/-]+:[a-z0-9.-]*\d[a-z0-9.-]*$/)
        const { compile = [], run } = commandsFor(runtime, image, runtime.mainFile)
        expect(run.length).toBeGreaterThan(0)
        expect([...compile, ...run].filter((word) => /[{}]/.test(word.replaceAll("${0%/*}", "")))).toEqual([])
      }
    }
  })

  it("builds runtimes that share a local image from the same packages", () => {
    const recipes = new Set(
      RUNTIMES.map(({ debianPackages, localImage }) => `${localImage} ${debianPackages.join(" ")}`),
    )
    expect(recipes.size).toBe(new Set(RUNTIMES.map(({ localImage }) => localImage)).size)
  })

  it("passes a file's name as a word of its own, never as text for a shell", () => {
    const nasty = 'src/a b";rm -rf $HOME.c'
    const c = runtimeByName("c")
    const { compile } = c === undefined ? {} : commandsFor(c, c.image, nasty)
    expect(compile?.at(-1)).toBe(`/box/${nasty}`)
    expect(compile?.slice(0, -1).join(" ")).not.toContain("rm -rf")
  })

  it("takes a local image's own commands there and nowhere else", () => {
    const typescript = runtimeByName("ts")
    if (typescript === undefined) throw new Error("there is no typescript")
    expect(commandsFor(typescript, typescript.image, "main.ts").compile).toBeUndefined()
    expect(commandsFor(typescript, typescript.localImage, "lib/main.ts").compile).toContain("/box/lib/main.ts")
  })

  it("names the class of a java program after its file", () => {
    const java = runtimeByName("java")
    if (java === undefined) throw new Error("there is no java")
    expect(commandsFor(java, java.image, "src/Hello.java").run.at(-1)).toBe("Hello")
  })
})
