import { commandsFor, type Runtime } from "../../core/runtime/catalogue.ts"
import { callEngine } from "./engineClient.ts"
import type { FoundEngine } from "./engine.ts"
import { lastLine } from "./command.ts"

/** What every program below prints, and nothing else. */
const SAYS = "berth ok"

/** The smallest program of each runtime that compiles, runs and prints. */
const PROGRAMS: Readonly<Record<string, string>> = {
  python: "import json, subprocess\nprint(json.loads('\"berth ok\"'))\n",
  node: 'console.log(require("node:path").basename("/x/berth ok"))\n',
  typescript: 'import { basename } from "node:path"\nconst say: string = basename("/x/berth ok")\nconsole.log(say)\n',
  bash: 'words=(berth ok)\necho "$' + '{words[*]}"\n',
  perl: "use strict; use warnings;\nprint join(' ', 'berth', 'ok'), qq(\\n);\n",
  ruby: 'puts %w[berth ok].join(" ")\n',
  php: '<?php echo implode(" ", ["berth", "ok"]), "\\n";\n',
  lua: 'print(table.concat({"berth", "ok"}, " "))\n',
  c: '#include <math.h>\n#include <stdio.h>\nint main(void) { puts(sqrt(4.0) > 1 ? "berth ok" : ""); return 0; }\n',
  cpp: '#include <iostream>\n#include <string>\nint main() { std::cout << std::string("berth ok") << std::endl; }\n',
  go: 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("berth ok") }\n',
  java: 'public class Main {\n  public static void main(String[] args) { System.out.println("berth ok"); }\n}\n',
}

const CALL_MS = 30_000
const RUN_MS = 120_000

const quote = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`

/** Writes, compiles and runs the program as the executor would, and packs a folder, with nothing but the image's `sh` and `tar`. */
const script = (runtime: Runtime, image: string): string => {
  const { compile, run } = commandsFor(runtime, image, runtime.mainFile)
  const source = PROGRAMS[runtime.name] ?? ""
  const steps = [
    "mkdir -p /box",
    `printf %s ${quote(source)} > /box/${runtime.mainFile}`,
    "tar -cf /dev/null -C /box .",
    "cd /box",
    ...(compile === undefined ? [] : [compile.map(quote).join(" ")]),
    run.map(quote).join(" "),
  ]
  return steps.join(" && ")
}

const parse = (text: string): Record<string, unknown> => {
  const parsed: unknown = JSON.parse(text)
  return typeof parsed === "object" && parsed !== null ? { ...parsed } : {}
}

/** Runs one program of `runtime` in `image`, without a network. Null when it printed what it should, else what it said. */
export const smokeTest = async (engine: FoundEngine, runtime: Runtime, image: string): Promise<string | null> => {
  const body = {
    Image: image,
    Entrypoint: ["sh", "-c", script(runtime, image)],
    Cmd: [],
    Env: Object.entries(runtime.env).map(([name, value]) => `${name}=${value}`),
    // A terminal makes the log one plain stream.
    Tty: true,
    NetworkDisabled: true,
    HostConfig: { NetworkMode: "none", LogConfig: { Type: "json-file" } },
  }
  const call = { timeoutMs: CALL_MS } as const
  const created = await callEngine(engine.address, { ...call, method: "POST", path: "/containers/create", body })
  if (created.status !== 201) return lastLine(created.text)
  const path = `/containers/${String(parse(created.text)["Id"])}`
  try {
    const started = await callEngine(engine.address, { ...call, method: "POST", path: `${path}/start` })
    if (started.status !== 204) return lastLine(started.text)
    const waited = await callEngine(engine.address, { method: "POST", path: `${path}/wait`, timeoutMs: RUN_MS })
    const query = [["stdout", "1"] as const, ["stderr", "1"] as const]
    const printed = await callEngine(engine.address, { ...call, method: "GET", path: `${path}/logs`, query })
    if (parse(waited.text)["StatusCode"] === 0 && printed.text.trim() === SAYS) return null
    return `${runtime.name} does not work in it: ${lastLine(printed.text) || "it printed nothing"}`
  } finally {
    await callEngine(engine.address, { ...call, method: "DELETE", path, query: [["force", "1"]] })
  }
}
