import { createRequire } from "node:module"
import { spawnSync } from "node:child_process"

/**
 * Makes sure that sqlite3's native part loads here. The package may have brought one that was built against a newer C
 * library than this machine has; then it is compiled from source, which needs python3, make and a C++ compiler.
 * Runs at the end of `npm ci`, before anything imports the package.
 */

const BUILD_MS = 15 * 60_000

/** In a process of its own: a native part that failed to load once cannot be loaded again in the same one. */
const loadProblem = (): string | null => {
  const path = createRequire(import.meta.url).resolve("sqlite3")
  const probe = `new (require(${JSON.stringify(path)}).Database)(":memory:", (error) => process.exit(error ? 1 : 0))`
  const result = spawnSync(process.execPath, ["-e", probe], { encoding: "utf8", timeout: 30_000 })
  if (result.status === 0) return null
  const lines = result.stderr.split("\n")
  return lines.find((line) => line.includes("Error")) ?? "it does not load"
}

const main = (): number => {
  const problem = loadProblem()
  if (problem === null) return 0
  process.stderr.write(`sqlite3 does not load here (${problem.trim()}); building it from source\n`)
  const npm = process.env["npm_execpath"]
  const [program, first] = npm === undefined ? ["npm", []] : [process.execPath, [npm]]
  const built = spawnSync(program, [...first, "rebuild", "sqlite3"], {
    stdio: ["ignore", "ignore", "pipe"],
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
    timeout: BUILD_MS,
    env: { ...process.env, npm_config_build_from_source: "true" },
  })
  if (built.status !== 0) process.stderr.write(built.stderr.split("\n").slice(-30).join("\n"))
  const still = built.status === 0 ? loadProblem() : "the build failed"
  if (still === null) return 0
  process.stderr.write(
    `sqlite3 still does not load (${still.trim()}): install python3, make and g++, then run npm rebuild sqlite3\n`,
  )
  return 1
}

process.exitCode = main()
