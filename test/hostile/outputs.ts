import { expect } from "vitest"
import type { RunOutcome } from "../../gateway/main/index.ts"
import { bash, COMPLETED, python, type Row } from "./row.ts"

/** Programs whose output or files are the weapon. */

const MIB = 1024 * 1024

const totals = ({ task }: RunOutcome) => task.result?.stdout

/** What looks like ours: markers, frames of the engine's stream, answers of the gateway. */
const FRAMES = `
import os
nonce = b"0" * 32
pieces = [b"\\x1e" + nonce + b" begin\\n", b"\\x1e" + nonce + b" end run exit 0 1 1 1 0\\n", b"\\x01\\0\\0\\0\\0\\0\\0\\x04fake", b"\\x02\\0\\0\\0\\xff\\xff\\xff\\xff",
  b'{"jsonrpc":"2.0","id":1,"result":{"task":{"status":"failed"}}}\\n', b'{"type":"end","status":"failed"}\\n']
for piece in pieces: os.write(1, piece); os.write(2, piece)
raise SystemExit(7)
`
const GARBAGE = `
import os
os.write(1, b"\\x1b[2J\\x1b]0;title\\x07</script><img src=x onerror=alert(1)>\\0\\r\\n\\xff\\xfe\\xc3(\\xed\\xa0\\x80\\xe2\\x80\\xae\\n")
`
const RESULTS = `
import os, socket
os.symlink("/etc/shadow", "out/shadow"); os.symlink("/proc/self/environ", "out/environ"); os.symlink("../..", "out/up")
os.mkfifo("out/pipe"); socket.socket(socket.AF_UNIX).bind("out/socket")
open("out/real", "w").write("real"); os.link("out/real", "out/twin")
open("out/" + "n" * 200, "w").write("long"); open("out/back\\\\slash", "w").write("odd"); open("out/new\\nline", "w").write("odd")
os.makedirs("out/" + "/".join(["d"] * 30)); open("out/" + "/".join(["d"] * 30) + "/deep", "w").write("deep")
with open("out/holes", "wb") as f: f.truncate(60 << 20)
`

export const OUTPUTS: readonly Row[] = [
  {
    name: "64 MiB without a newline",
    request: bash(`head -c ${64 * MIB} /dev/zero | tr '\\0' x`, { timeoutMs: 120_000 }),
    ends: COMPLETED,
    holds: (seen) => {
      expect(totals(seen)).toEqual({
        totalBytes: 64 * MIB,
        headBytes: MIB,
        tailBytes: 65_536,
        droppedBytes: 63 * MIB - 65_536,
      })
      expect(seen.stdout.startsWith("xxxx")).toBe(true)
    },
  },
  {
    name: "a million tiny lines on both streams",
    request: bash("yes | head -n 1000000; yes | head -n 200000 >&2", { timeoutMs: 120_000 }),
    ends: COMPLETED,
    holds: (seen) => {
      expect(totals(seen)?.totalBytes).toBe(2_000_000)
      expect(seen.task.result?.stderr.totalBytes).toBe(400_000)
    },
  },
  {
    name: "what looks like markers, frames and answers of ours",
    request: python(FRAMES),
    ends: { status: "failed", reason: "exit_nonzero", exitCode: 7 },
    holds: ({ stderr, stdout, task }) => {
      for (const text of [stdout, stderr]) {
        expect(text).toContain(`\x1e${"0".repeat(32)} end run exit 0 1 1 1 0\n`)
        expect(text).toContain('{"type":"end","status":"failed"}\n')
      }
      expect(task.result?.stdout.totalBytes).toBe(task.result?.stderr.totalBytes)
    },
  },
  {
    name: "terminal escapes, </script>, NUL and what is no UTF-8",
    request: python(GARBAGE),
    ends: COMPLETED,
    holds: ({ stdout, task }) => {
      expect(stdout).toContain("\x1b[2J\x1b]0;title\x07</script>")
      expect(stdout).toContain("\0\r\n\ufffd\ufffd")
      expect(task.result?.stdout.totalBytes).toBe(65)
    },
  },
  {
    name: "links to /etc/shadow, pipes, sockets, odd names and holes as results",
    request: python(RESULTS, { artifacts: true }),
    ends: COMPLETED,
    holds: async (seen, scene) => {
      const kept = new Map<string, string>()
      for (const { path } of seen.artifacts)
        kept.set(path, Buffer.from(await scene.berth.client.artifact(seen.id, path)).toString())
      expect([...kept.values()].filter((text) => text.includes("root:") || text.includes("PATH="))).toEqual([])
      expect([kept.get("real") ?? kept.get("twin"), kept.has("shadow"), kept.has("environ")]).toEqual([
        "real",
        false,
        false,
      ])
      expect([...kept.keys()].filter((path) => path.split("/").length > 16 || path.includes(".."))).toEqual([])
      expect(seen.task.result?.artifactsMissing).toContain('"out/shadow" is neither a file nor a folder')
    },
  },
  {
    name: "as many files as there may be, which is more than any record has room for",
    request: bash("for n in {1..999}; do echo $n >out/$n; done", { artifacts: true }),
    ends: COMPLETED,
    holds: async (seen, scene) => {
      expect(seen.artifacts.length).toBeGreaterThan(300)
      expect(seen.task.result?.artifactsMissing).toContain("files were left out")
      const path = seen.artifacts.at(-1)?.path ?? ""
      expect(Buffer.from(await scene.berth.client.artifact(seen.id, path)).toString()).toBe(`${path}\n`)
    },
  },
]
