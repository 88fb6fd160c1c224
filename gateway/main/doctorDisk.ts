/** The data directory: is it there, does it keep what it is told to keep, and is there room? */
import { access, constants, mkdir, open, rm, statfs } from "node:fs/promises"
import { join } from "node:path"
import { readLock } from "../../store/sqlite/index.ts"
import type { DoctorLine } from "../cli/index.ts"
import { floorLine } from "./doctorFloors.ts"

const ROOM_BYTES_MIN = 512 * 1024 * 1024
/** For images, and for what programs print: 8 MiB each. */
const ENGINE_ROOM_BYTES_MIN = 2 * 1024 * 1024 * 1024
/** Kinds of file systems that forget: tmpfs and ramfs. */
const FORGETFUL = [0x01021994, 0x858458f6]
const FSYNCS = 16
/** Slower ones are a disk in trouble: every accepted task waits for one. */
const FSYNC_MS_MAX = 250

const mebibytes = (bytes: number): string => `${Math.floor(bytes / 1024 / 1024)} MiB free`

async function roomLine(name: string, folder: string, bytesMin: number, hint: string): Promise<DoctorLine> {
  const { bavail, bsize } = await statfs(folder)
  const freeBytes = bavail * bsize
  return floorLine(name, freeBytes >= bytesMin, {
    ok: mebibytes(freeBytes),
    below: `only ${mebibytes(freeBytes)}, less than ${Math.floor(bytesMin / 1024 / 1024)}`,
    hint,
  })
}

/** The median of a few, as the log does it: append, then fsync. */
async function fsyncMs(dataDir: string): Promise<number> {
  const path = join(dataDir, `.doctor-${process.pid}`)
  const file = await open(path, "w", 0o600)
  try {
    const times: number[] = []
    for (let index = 0; index < FSYNCS; index += 1) {
      const beganMs = performance.now()
      await file.write(Buffer.alloc(4_096, index))
      await file.sync()
      times.push(performance.now() - beganMs)
    }
    return times.sort((a, b) => a - b)[FSYNCS / 2] ?? 0
  } finally {
    await file.close()
    await rm(path, { force: true })
  }
}

async function fsyncLine(dataDir: string): Promise<DoctorLine> {
  const { type } = await statfs(dataDir)
  const ms = await fsyncMs(dataDir)
  const isForgetful = FORGETFUL.includes(type)
  return floorLine("fsync", !isForgetful && ms <= FSYNC_MS_MAX, {
    ok: `${ms.toFixed(1)} ms`,
    below: isForgetful ? "the directory is in memory, and gone with it" : `${ms.toFixed(1)} ms`,
    hint: "Choose a directory on a disk of this machine with --data.",
  })
}

export async function dataDirLines(dataDir: string): Promise<readonly DoctorLine[]> {
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 })
    await access(dataDir, constants.W_OK)
    const server = readLock(dataDir)
    const served = server?.url ? `, served at ${server.url} by process ${server.pid}` : ""
    return [
      { kind: "floor", name: "data", verdict: "ok", detail: `${dataDir}${served}` },
      await fsyncLine(dataDir),
      await roomLine("room", dataDir, ROOM_BYTES_MIN, "Free some space: submits are refused when the disk is full."),
    ]
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    const hint = "Choose another with --data."
    return [{ kind: "floor", name: "data", verdict: "fail", detail: `${dataDir} cannot be used: ${why}`, hint }]
  }
}

/** @param root - where the engine keeps everything; nothing is said of one on another machine */
export async function engineRoomLines(root: string): Promise<readonly DoctorLine[]> {
  const hint = "Free some space where the engine keeps its images: `docker system df` says what takes it."
  return roomLine("engine room", root, ENGINE_ROOM_BYTES_MIN, hint).then(
    (line) => [line],
    () => [],
  )
}
