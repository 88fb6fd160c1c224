/** An empty project that has nothing but our packed tarball installed, as a user's has. */
import { execFile } from "node:child_process"
import { cp, mkdir, readFile, symlink, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { promisify } from "node:util"
import { ROOT } from "./sourceTree.ts"

const exec = promisify(execFile)
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024

/** What npm says of a tarball that it made. */
export interface Packed {
  readonly filename: string
  readonly integrity: string
  readonly files: readonly { readonly path: string }[]
}

interface Locked {
  readonly version: string
  readonly name?: string
  readonly dev?: boolean
}

type Manifest = Readonly<
  Record<"dependencies" | "bin" | "engines" | "overrides", Readonly<Record<string, unknown>>>
> & {
  readonly version: string
}

/** Runs a program in `cwd`; rejects with what it wrote when it fails. */
export const runIn = async (cwd: string, program: string, args: readonly string[]): Promise<string> => {
  const { stdout } = await exec(program, [...args], { cwd, maxBuffer: OUTPUT_BYTES_MAX })
  return stdout
}

const readJson = async <A>(path: string): Promise<A> => JSON.parse(await readFile(path, "utf8")) as A

/** The lock file of a project whose only dependency is the tarball: what our own pins, at the registry that npm uses. */
async function lockOf(packed: Packed, manifest: Manifest, registry: string): Promise<object> {
  const { packages } = await readJson<{ packages: Record<string, Locked> }>(join(ROOT, "package-lock.json"))
  const pinned = Object.entries(packages)
    .filter(([path, { dev }]) => path !== "" && dev !== true)
    .map(([path, locked]) => {
      const name = locked.name ?? path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length)
      const file = `${name.slice(name.lastIndexOf("/") + 1)}-${locked.version}.tgz`
      return [path, { ...locked, resolved: `${registry}${name}/-/${file}` }]
    })
  const { bin, dependencies, engines, version } = manifest
  const resolved = `file:${packed.filename}`
  return {
    name: "empty",
    lockfileVersion: 3,
    requires: true,
    packages: {
      "": { name: "empty", dependencies: { berth: resolved } },
      "node_modules/berth": { version, resolved, integrity: packed.integrity, dependencies, bin, engines },
      ...Object.fromEntries(pinned),
    },
  }
}

/**
 * Packs the project as it is built, and installs the tarball. What npm has in its cache is not fetched again. Scripts do not
 * run, because compiling SQLite takes a minute: its native part is copied from here.
 */
export async function installPacked(folder: string): Promise<Packed> {
  const listed = await runIn(ROOT, "npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", folder])
  const [packed] = JSON.parse(listed) as readonly Packed[]
  if (packed === undefined) throw new Error(`npm packed nothing: ${listed}`)
  const manifest = await readJson<Manifest>(join(ROOT, "package.json"))
  const registry = (await runIn(ROOT, "npm", ["config", "get", "registry"])).trim()
  const own = {
    name: "empty",
    private: true,
    type: "module",
    dependencies: { berth: `file:${packed.filename}` },
    // A package's own overrides do not reach those who install it.
    overrides: { "@nats-io/nuid": manifest.overrides["@nats-io/nuid"] },
  }
  await writeFile(join(folder, "package.json"), JSON.stringify(own))
  await writeFile(join(folder, "package-lock.json"), JSON.stringify(await lockOf(packed, manifest, registry)))
  await runIn(folder, "npm", ["ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"])
  const native = "node_modules/sqlite3/build"
  await cp(join(ROOT, native), join(folder, native), { recursive: true })
  return packed
}

/** Gives the project what a TypeScript user has beside us: Node's types. */
export async function linkNodeTypes(folder: string): Promise<void> {
  await mkdir(join(folder, "node_modules/@types"), { recursive: true })
  for (const name of ["@types/node", "undici-types"]) {
    const place = join(folder, "node_modules", name)
    await symlink(join(ROOT, "node_modules", name), place).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== "EEXIST") throw cause
    })
  }
}
