import { LIMITS } from "../../../core/limits.ts"

/**
 * Reads the tar archive in which a container hands over its files. The archive is hostile: any process of the program may
 * have made any file, and a broken one must do no more than be refused.
 *
 *   AT1. Only plain files and folders are taken: types `0`, NUL and `5`. Links, devices and the rest are named as left out.
 *   AT2. Entries, bytes a file, bytes in all, length and depth of a path are limited; what is over a limit is left out, and
 *        after too many entries or bytes reading stops.
 *   AT3. A path is relative, normal, without `..`, valid UTF-8 and without control characters. Nothing is written by it.
 *   AT4. Sizes count what the archive holds, never what an entry claims; sparse files and compression do not exist here.
 *   AT5. Memory is bounded by one file.
 *   AT6. How the bytes are cut into chunks makes no difference.
 */
export interface TarFile {
  readonly path: string
  readonly bytes: Uint8Array
}

const BLOCK = 512
/** GNU's long names and pax headers are small; a large one is an attack. */
const META_BYTES_MAX = 64 * 1024
const NOTES_MAX = 20

type Body = { readonly kind: "file"; readonly path: string } | { readonly kind: "longName" } | { readonly kind: "skip" }

const decoder = new TextDecoder("utf-8", { fatal: true })

function text(block: Uint8Array, from: number, length: number): string | null {
  const field = block.subarray(from, from + length)
  const end = field.indexOf(0)
  try {
    return decoder.decode(end < 0 ? field : field.subarray(0, end))
  } catch {
    return null
  }
}

/** Octal, or base 256 when the first bit is set; null for anything else. */
function number(block: Uint8Array, from: number, length: number): number | null {
  const first = block[from] ?? 0
  if ((first & 0x80) !== 0) {
    let value = first & 0x7f
    for (let index = from + 1; index < from + length; index += 1) value = value * 256 + (block[index] ?? 0)
    return Number.isSafeInteger(value) ? value : null
  }
  const written = (text(block, from, length) ?? "?").trim()
  return /^[0-7]*$/.test(written) ? Number.parseInt(written || "0", 8) : null
}

function checksumHolds(block: Uint8Array): boolean {
  let sum = 0
  for (let index = 0; index < BLOCK; index += 1) sum += index >= 148 && index < 156 ? 32 : (block[index] ?? 0)
  return sum === number(block, 148, 8)
}

/** AT3. @returns the path without leading `./` and trailing `/`, or null when it is refused */
export function safePath(path: string): string | null {
  const parts = path
    .replace(/^(\.\/)+/, "")
    .replace(/\/+$/, "")
    .split("/")
  const plain = parts.join("/")
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is refused here
  if (plain === "" || /[\u0000-\u001f\u007f\\]/.test(plain)) return null
  if (parts.some((part) => part === "" || part === "." || part === "..")) return null
  if (parts.length > LIMITS.artifactDepthMax) return null
  return new TextEncoder().encode(plain).length > LIMITS.artifactPathBytesMax ? null : plain
}

export class ArtifactTar {
  /** What was left out, and why; at most a few lines. */
  readonly notes: string[] = []
  #held: Buffer = Buffer.alloc(0)
  #body: Body | null = null
  #left = 0
  #pad = 0
  #parts: Buffer[] = []
  #longName: string | null = null
  #entries = 0
  #bytes = 0
  #over = false
  #whole = false
  readonly #seen = new Set<string>()

  /** True when nothing more will be read: the end was seen, or a limit. */
  get over(): boolean {
    return this.#over
  }

  /** The archive's own end was seen. */
  get whole(): boolean {
    return this.#whole
  }

  /** @returns the files that are complete now */
  push(chunk: Uint8Array): TarFile[] {
    const files: TarFile[] = []
    const fresh = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    let data = this.#held.length === 0 ? fresh : Buffer.concat([this.#held, fresh])
    while (!this.#over) {
      if (this.#body !== null) {
        const taken = data.subarray(0, this.#left)
        if (this.#body.kind !== "skip" && taken.length > 0) this.#parts.push(Buffer.from(taken))
        this.#left -= taken.length
        data = data.subarray(taken.length)
        if (this.#left > 0) break
        const file = this.#finish(this.#body)
        if (file !== null) files.push(file)
      }
      if (this.#pad > 0) {
        const skipped = Math.min(this.#pad, data.length)
        this.#pad -= skipped
        data = data.subarray(skipped)
        if (this.#pad > 0) break
      }
      if (data.length < BLOCK) break
      this.#header(data.subarray(0, BLOCK))
      data = data.subarray(BLOCK)
    }
    this.#held = this.#over ? Buffer.alloc(0) : Buffer.from(data)
    return files
  }

  #note(what: string): void {
    if (this.notes.length < NOTES_MAX) this.notes.push(what)
  }

  #stop(why: string): void {
    this.#note(why)
    this.#over = true
  }

  #finish(body: Body): TarFile | null {
    const bytes = Buffer.concat(this.#parts)
    this.#parts = []
    this.#body = null
    if (body.kind === "longName") this.#longName = text(bytes, 0, bytes.length)
    return body.kind === "file" ? { path: body.path, bytes } : null
  }

  #header(block: Buffer): void {
    if (block.every((byte) => byte === 0)) {
      this.#whole = true
      this.#over = true
      return
    }
    const size = number(block, 124, 12)
    if (!checksumHolds(block) || size === null || size < 0) return this.#stop("the archive is broken")
    const type = String.fromCharCode(block[156] ?? 0)
    this.#left = size
    this.#pad = (BLOCK - (size % BLOCK)) % BLOCK
    if (type === "L" || type === "x" || type === "g" || type === "K") {
      if (size > META_BYTES_MAX) return this.#stop("the archive has an oversize header")
      this.#body = { kind: type === "L" ? "longName" : "skip" }
      return
    }
    const name = this.#longName ?? this.#nameOf(block)
    this.#longName = null
    this.#body = this.#decide(name, type, size)
  }

  #nameOf(block: Buffer): string | null {
    const name = text(block, 0, 100)
    const prefix = block.toString("latin1", 257, 263) === "ustar\0" ? text(block, 345, 155) : ""
    if (name === null || prefix === null) return null
    return prefix === "" ? name : `${prefix}/${name}`
  }

  /** AT1 to AT3. */
  #decide(name: string | null, type: string, size: number): Body {
    const skip: Body = { kind: "skip" }
    this.#entries += 1
    if (this.#entries > LIMITS.artifactEntriesMax) {
      this.#stop(`more than ${LIMITS.artifactEntriesMax} entries`)
      return skip
    }
    if (type === "5") return skip
    const path = name === null ? null : safePath(name.replace(/^(\.\/)?out\//, ""))
    const shown = JSON.stringify((name ?? "?").slice(0, 80))
    if (type !== "0" && type !== "\0") this.#note(`${shown} is neither a file nor a folder`)
    else if (path === null) this.#note(`${shown} is not a path that can be kept`)
    else if (this.#seen.has(path)) this.#note(`${shown} appears twice`)
    else if (size > LIMITS.artifactBytesMax) this.#note(`${shown} has more than ${LIMITS.artifactBytesMax} bytes`)
    else if (this.#bytes + size > LIMITS.artifactsBytesMax)
      this.#stop(`more than ${LIMITS.artifactsBytesMax} bytes in all`)
    else {
      this.#bytes += size
      this.#seen.add(path)
      return { kind: "file", path }
    }
    return skip
  }
}
