import { createHash } from "node:crypto"
import type { Program } from "../../../core/task/spec.ts"
import { stdinName } from "./jobScript.ts"

/**
 * What goes into a container's stdin: the nonce and a file's name on a line, then an uncompressed tar archive.
 *
 *   FE1. The last member is `.ok-<nonce>`; without it the bootstrap runs nothing.
 *   FE2. Names of more than 100 bytes use GNU's long-name member, which GNU tar and busybox both read (busybox skips pax).
 *   FE3. The archive is padded to tar's record size, so that no tar waits for more.
 */

export interface Member {
  /** Relative to /box; folders end with a slash. */
  readonly path: string
  readonly bytes: Uint8Array
  readonly executable: boolean
}

const BLOCK = 512
const RECORD = 10_240
const NAME_BYTES = 100
/** Any fixed time in the past: no tar warns about it, and equal programs make equal archives. */
const MODIFIED_S = 946_684_800

const encoder = new TextEncoder()

function header(name: Uint8Array, sizeBytes: number, type: string, mode: number, uid: number): Uint8Array {
  const block = new Uint8Array(BLOCK)
  const put = (offset: number, text: string) => block.set(encoder.encode(text), offset)
  const octal = (offset: number, width: number, value: number) =>
    put(offset, `${value.toString(8).padStart(width - 1, "0")}\0`)
  block.set(name.subarray(0, NAME_BYTES), 0)
  octal(100, 8, mode)
  octal(108, 8, uid)
  octal(116, 8, uid)
  octal(124, 12, sizeBytes)
  octal(136, 12, MODIFIED_S)
  put(148, "        ")
  put(156, type)
  put(257, "ustar  \0")
  let sum = 0
  for (const byte of block) sum += byte
  put(148, `${sum.toString(8).padStart(6, "0")}\0 `)
  return block
}

const padding = (sizeBytes: number): Uint8Array => new Uint8Array((BLOCK - (sizeBytes % BLOCK)) % BLOCK)

function member(entry: Member, uid: number): Uint8Array[] {
  const parts: Uint8Array[] = []
  const name = encoder.encode(entry.path)
  if (name.length > NAME_BYTES) {
    const long = encoder.encode(`${entry.path}\0`)
    parts.push(header(encoder.encode("././@LongLink"), long.length, "L", 0o644, 0), long, padding(long.length))
  }
  const folder = entry.path.endsWith("/")
  const mode = folder || entry.executable ? 0o755 : 0o644
  parts.push(header(name, entry.bytes.length, folder ? "5" : "0", mode, uid), entry.bytes, padding(entry.bytes.length))
  return parts
}

/** @returns the archive in parts, to be written one after the other */
export function archive(members: readonly Member[], uid: number): Uint8Array[] {
  const parts = members.flatMap((entry) => member(entry, uid))
  const written = parts.reduce((sum, part) => sum + part.length, 0)
  const end = 2 * BLOCK
  parts.push(new Uint8Array(end + ((RECORD - ((written + end) % RECORD)) % RECORD)))
  return parts
}

/** What the archive takes in a tmpfs, in bytes, rounded up to pages. */
export const boxBytesOf = (members: readonly Member[]): number =>
  members.reduce((sum, { bytes }) => sum + Math.ceil(bytes.length / 4_096) * 4_096, 0)

/** A program's own files and stdin as bytes. */
export function programMembers(program: Exclude<Program, { kind: "handler" }>): {
  readonly files: readonly Member[]
  readonly stdin: Uint8Array | null
} {
  const files = program.files.map((file) => ({
    path: file.path,
    bytes: Buffer.from(file.content, file.encoding),
    executable: file.executable,
  }))
  return { files, stdin: program.stdin === null ? null : Buffer.from(program.stdin.content, program.stdin.encoding) }
}

/** The shell's arguments show it, so it must not tell the nonce, and no program's file has it. */
const scriptName = (nonce: string): string => `.berth-${createHash("sha256").update(nonce).digest("hex").slice(0, 16)}`

/** All that the bootstrap reads, FE1 to FE3. */
export function feedOf(input: {
  readonly nonce: string
  readonly script: string
  readonly stdin: Uint8Array | null
  readonly files: readonly Member[]
  readonly withOut: boolean
  readonly uid: number
}): Uint8Array[] {
  const own = (path: string, bytes: Uint8Array): Member => ({ path, bytes, executable: false })
  const name = scriptName(input.nonce)
  const members = [own(name, encoder.encode(input.script))]
  if (input.stdin !== null) members.push(own(stdinName(input.nonce), input.stdin))
  if (input.withOut) members.push(own("out/", new Uint8Array(0)))
  members.push(...input.files, own(`.ok-${input.nonce}`, new Uint8Array(0)))
  return [encoder.encode(`${input.nonce} ${name}\n`), ...archive(members, input.uid)]
}
