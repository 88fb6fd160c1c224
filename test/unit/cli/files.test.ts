import { execFileSync } from "node:child_process"
import { chmod, lstat, mkdir, mkdtemp, readFile, rm, symlink, truncate, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { LIMITS } from "../../../core/limits.ts"
import { ArtifactsFolder } from "../../../gateway/cli/artifactsFolder.ts"
import { readSource, readWhole } from "../../../gateway/cli/sourceFiles.ts"

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "berth-files-"))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const at = (...parts: string[]) => join(folder, ...parts)
const refusal = (code: string) => expect.objectContaining({ code })

describe("what is read of a program's folder?", () => {
  it("everything in it, in order, text as text, bytes as base64, and what may be executed", async () => {
    await mkdir(at("lib/deep"), { recursive: true })
    await mkdir(at(".git"))
    await writeFile(at(".git/config"), "x")
    await writeFile(at("main.py"), "print('ж')\n")
    await writeFile(at("lib/deep/data.bin"), Uint8Array.of(0xff, 0xfe))
    await writeFile(at("run.sh"), "echo")
    await chmod(at("run.sh"), 0o755)
    expect(await readSource(folder)).toEqual({
      isFolder: true,
      files: [
        { path: "lib/deep/data.bin", content: "//4=", encoding: "base64" },
        { path: "main.py", content: "print('ж')\n", encoding: "utf8" },
        { path: "run.sh", content: "echo", encoding: "utf8", executable: true },
      ],
    })
    expect(await readSource(at("main.py"))).toMatchObject({ isFolder: false, files: [{ path: "main.py" }] })
  })

  it("F1: links within it are followed, once; links that lead out are refused", async () => {
    await mkdir(at("program/sub"), { recursive: true })
    await writeFile(at("program/sub/a.py"), "a")
    await symlink("sub/a.py", at("program/b.py"))
    await symlink("..", at("program/sub/loop"))
    expect((await readSource(at("program"))).files.map((file) => file.path)).toEqual(["b.py", "sub/a.py"])
    await writeFile(at("secret"), "s")
    await writeFile(at("program-secret"), "s")
    for (const target of ["../secret", "../program-secret", "/etc/hostname", "..", "nowhere"]) {
      await symlink(target, at("program/out"))
      await expect(readSource(at("program"))).rejects.toEqual(refusal("INVALID_PARAMS"))
      await rm(at("program/out"))
    }
  })

  it("F2: not more files, bytes or depth than a task may have", async () => {
    await writeFile(at("big"), "")
    await truncate(at("big"), LIMITS.programBytesMax + 1)
    await expect(readSource(at("big"))).rejects.toEqual(refusal("TOO_LARGE"))
    await expect(readWhole(at("big"))).rejects.toEqual(refusal("TOO_LARGE"))
    await rm(at("big"))
    await mkdir(at(...Array.from({ length: 40 }, () => "d")), { recursive: true })
    await expect(readSource(folder)).rejects.toEqual(refusal("TOO_LARGE"))
    await rm(at("d"), { recursive: true })
    await Promise.all(Array.from({ length: LIMITS.filesMax + 1 }, (_, n) => writeFile(at(`f${n}`), "")))
    await expect(readSource(folder)).rejects.toEqual(refusal("TOO_LARGE"))
    await rm(at("f0"))
    expect((await readSource(folder)).files.length).toBe(LIMITS.filesMax)
  })

  it("F3: a pipe is refused instead of waited for, and so is what is not there, and an empty folder", async () => {
    execFileSync("mkfifo", [at("pipe")])
    await expect(readSource(at("pipe"))).rejects.toEqual(refusal("INVALID_PARAMS"))
    await expect(readSource(folder)).rejects.toEqual(refusal("INVALID_PARAMS"))
    await expect(readSource("/dev/zero")).rejects.toEqual(refusal("INVALID_PARAMS"))
    await expect(readSource(at("nothing"))).rejects.toEqual(refusal("INVALID_PARAMS"))
    await rm(at("pipe"))
    await expect(readSource(folder)).rejects.toEqual(refusal("INVALID_PARAMS"))
  })
})

describe("what does writing artifacts leave alone?", () => {
  const bytes = Buffer.from("new")

  it("writes new files, in folders that it makes or finds", async () => {
    const out = await ArtifactsFolder.open(at("out/made"))
    await mkdir(at("out/made/there"))
    for (const path of ["a", "there/b", "x/y/z"])
      expect(await readFile(await out.write(path, bytes), "utf8")).toBe("new")
  })

  it.each([
    "../up",
    "/etc/evil",
    "a/../../b",
    "./a",
    "a//b",
    "",
    ".",
    "..",
    "a\\b",
    "a\u0000b",
    "a\nb",
    "x/".repeat(17) + "y",
    "n".repeat(256),
  ])("D1: refuses the path %j", async (path) => {
    const out = await ArtifactsFolder.open(at("out"))
    await expect(out.write(path, bytes)).rejects.toEqual(refusal("INVALID_PARAMS"))
  })

  it("D1: follows no link, neither on the way nor at its end, and D2: replaces nothing", async () => {
    const out = await ArtifactsFolder.open(at("out"))
    await mkdir(at("outside"))
    await writeFile(at("outside/file"), "old")
    await symlink(at("outside"), at("out/folder"))
    await symlink(at("outside/file"), at("out/link"))
    await symlink(at("outside/made"), at("out/dangling"))
    await writeFile(at("out/taken"), "old")
    for (const path of ["folder/evil", "link", "dangling", "taken", "taken/below"])
      await expect(out.write(path, bytes)).rejects.toEqual(refusal("INVALID_PARAMS"))
    expect(await readFile(at("outside/file"), "utf8")).toBe("old")
    expect(await readFile(at("out/taken"), "utf8")).toBe("old")
    await expect(lstat(at("outside/made"))).rejects.toThrow()
    await expect(lstat(at("outside/evil"))).rejects.toThrow()
  })

  it("says so when the folder cannot be made", async () => {
    await writeFile(at("file"), "")
    await expect(ArtifactsFolder.open(at("file/below"))).rejects.toEqual(refusal("INVALID_PARAMS"))
  })
})
