import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { RunOutcome } from "../../gateway/main/index.ts"
import { callEngine } from "../../gateway/provision/engineClient.ts"
import { findDocker, type FoundEngine } from "../../gateway/provision/engine.ts"
import { clientOf, startServer } from "../../test/support/serverProcess.ts"
import type { Gate } from "./gate.ts"

/**
 * A program that prints without end, seen from outside: the memory of the server's process, and what lies on the disk.
 * The server is the built one, in a process of its own.
 */

const GIGABYTE = 1_000_000_000
const MIB = 1024 * 1024
const FULL_BYTES = 10 * GIGABYTE
/**
 * Printed before anything is measured, again and again until the process has its size. Node frees what was read when its
 * young heap is full, and that heap itself grows: from idle a server gains about 40 MiB here. What is measured is whether it
 * grows with what is printed.
 */
const WARM_BYTES = 64 * MIB
const WARM_ROUNDS_MAX = 12
/** A round that adds less than this has found the process at its size. */
const WARM_GROWTH_MIB_MAX = 2
const SAMPLE_MS = 50
const END = "the end"
const HEAD_BYTES = MIB
const TAIL_BYTES = 64 * 1024

export interface Printed {
  readonly rssGrowthMib: number
  readonly diskMib: number
  /** What is wrong with the result; empty when nothing is. */
  readonly faults: readonly string[]
  readonly tookMs: number
}

const printing = (bytes: number): string => `head -c ${bytes - END.length} /dev/zero | tr '\\0' x; printf '${END}'`

const rssMib = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024

const bytesBelow = (folder: string): number => {
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .reduce(
        (sum, entry) => sum + (statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false })?.size ?? 0),
        0,
      )
  } catch {
    // It went away while it was looked at.
    return 0
  }
}

const ask = async <A>(engine: FoundEngine, path: string): Promise<A> => {
  const { text } = await callEngine(engine.address, { method: "GET", path, timeoutMs: 30_000 })
  return JSON.parse(text) as A
}

/** The folder in which the engine keeps the log of a task's container; waits until there is one. */
const logFolder = async (engine: FoundEngine, taskId: string): Promise<string> => {
  const { DockerRootDir } = await ask<{ readonly DockerRootDir: string }>(engine, "/info")
  for (;;) {
    const { Id } = await ask<{ readonly Id?: string }>(engine, `/containers/berth-${taskId}-1/json`)
    if (Id !== undefined) return join(DockerRootDir, "containers", Id)
    await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS))
  }
}

function faultsOf({ reason, status, stdout, task }: RunOutcome, bytes: number, tail: string): readonly string[] {
  const expected = {
    totalBytes: bytes,
    headBytes: HEAD_BYTES,
    tailBytes: TAIL_BYTES,
    droppedBytes: bytes - HEAD_BYTES - TAIL_BYTES,
  }
  const told = JSON.stringify(task.result?.stdout)
  return [
    ...(status === "completed" ? [] : [`it ended as ${status}, ${reason}`]),
    ...(told === JSON.stringify(expected) ? [] : [`the totals are ${told}`]),
    ...(/^x{1000}/.test(stdout) ? [] : ["the head is not what was printed first"]),
    ...(tail.endsWith(`xxx${END}`) ? [] : ["the tail is not what was printed last"]),
  ]
}

/** Runs one such program on a server of its own, and looks at both while it runs. */
export async function print(bytes: number): Promise<Printed> {
  const engine = await findDocker()
  if (engine === null) throw new Error("no engine answers; see npm run provision")
  const folder = mkdtempSync(join(tmpdir(), "berth-output-"))
  const server = await startServer({ dataDir: folder, engine: engine.host, slots: 1 })
  const client = await clientOf(server.at)
  try {
    const order = (size: number) =>
      ({ runtime: "bash", code: printing(size), timeoutMs: 1_800_000, limits: { cpuMilli: 2_000 } }) as const
    for (let round = 0, grownMib = Infinity; round < WARM_ROUNDS_MAX && grownMib > WARM_GROWTH_MIB_MAX; round += 1) {
      const wasMib = rssMib(server.pid)
      await (await client.submit(order(WARM_BYTES))).result()
      grownMib = rssMib(server.pid) - wasMib
    }
    const before = { rssMib: rssMib(server.pid), dataBytes: bytesBelow(folder) }
    const beganMs = performance.now()
    const handle = await client.submit(order(bytes))
    const log = await logFolder(engine, handle.id)
    let [rssMibMax, diskBytesMax] = [before.rssMib, 0]
    const timer = setInterval(() => {
      rssMibMax = Math.max(rssMibMax, rssMib(server.pid))
      diskBytesMax = Math.max(diskBytesMax, bytesBelow(folder) - before.dataBytes + bytesBelow(log))
    }, SAMPLE_MS)
    const ended = await handle.result()
    clearInterval(timer)
    const tookMs = performance.now() - beganMs
    let [stdout, tail] = ["", ""]
    for await (const event of handle.output({ stream: "stdout" })) {
      if (event.type !== "output") continue
      const text = Buffer.from(event.bytes).toString()
      if (stdout.length < MIB) stdout += text
      tail = text
    }
    const faults = faultsOf({ ...ended, stdout, stderr: "" }, bytes, tail)
    return { rssGrowthMib: rssMibMax - before.rssMib, diskMib: diskBytesMax / MIB, faults, tookMs }
  } finally {
    await client.close()
    await server.end("SIGTERM")
    rmSync(folder, { recursive: true, force: true })
  }
}

let full: Promise<Printed> | null = null
const measured = (): Promise<Printed> => (full ??= print(FULL_BYTES))

/** The bounds, for the short form as well. */
export const OUTPUT_BOUNDS = { rssGrowthMib: { atMost: 32 }, diskMib: { atMost: 32 }, faults: { exactly: 0 } } as const

export const outputGates: readonly Gate[] = [
  {
    name: "output of 10 GB: memory of the server grows by, once it has its size",
    unit: "MiB",
    bound: OUTPUT_BOUNDS.rssGrowthMib,
    measure: async () => (await measured()).rssGrowthMib,
    quick: null,
  },
  {
    name: "output of 10 GB: disk of the host that it takes",
    unit: "MiB",
    bound: OUTPUT_BOUNDS.diskMib,
    measure: async () => (await measured()).diskMib,
    quick: null,
  },
  {
    name: "output of 10 GB: what is wrong with status, head, tail and totals",
    unit: "faults",
    bound: OUTPUT_BOUNDS.faults,
    measure: async () => (await measured()).faults.length,
    quick: null,
  },
]
