/**
 * Room that is kept for getting out of a full disk: removing tasks has to be written too. The file is given up when a
 * removal met a full disk, and made again as soon as there is plenty.
 */
import { closeSync, existsSync, fsyncSync, openSync, rmSync, writeSync } from "node:fs"
import { roomBytes } from "./connection.ts"

const RESERVE_BYTES = 2 * 1024 * 1024
/** Made only when this much would be left, so that it never is what fills the disk. */
const ROOM_BYTES_MIN = 8 * RESERVE_BYTES
/** Looked at after this many commits without a reserve. */
const COMMITS_BETWEEN = 64

/** A process that finds the disk full could not even say that it is there: it gives the reserve up before it begins. */
export function makeRoomToStart(path: string): void {
  if (roomBytes(path) < RESERVE_BYTES) rmSync(path, { force: true })
}

export class Reserve {
  readonly #path: string
  #kept: boolean
  #commitsUntilLook = 0

  constructor(path: string) {
    this.#path = path
    this.#kept = existsSync(path)
    this.refill()
  }

  /** Gives the room up. False: there was none. */
  release(): boolean {
    if (!this.#kept) return false
    rmSync(this.#path, { force: true })
    this.#kept = false
    return true
  }

  /** Called after commits: makes the reserve again when there is room. */
  refill(): void {
    if (this.#kept || this.#commitsUntilLook-- > 0) return
    this.#commitsUntilLook = COMMITS_BETWEEN
    if (roomBytes(this.#path) < ROOM_BYTES_MIN) return
    try {
      const file = openSync(this.#path, "w", 0o600)
      writeSync(file, Buffer.alloc(RESERVE_BYTES, 1))
      fsyncSync(file)
      closeSync(file)
      this.#kept = true
    } catch {
      // No room after all: better none than a part.
      rmSync(this.#path, { force: true })
    }
  }
}
