/** Writing files so that a crash or a power cut leaves the old one, the new one, or none. */
import { mkdir, open, rename, rm } from "node:fs/promises"
import { dirname } from "node:path"

/**
 * Durable when it returns: the temporary file is synced before it takes the name, the directory after.
 *
 * @param writer - tells writers of one path apart, so that none takes another's temporary file
 */
export async function writeDurably(path: string, parts: readonly Uint8Array[], writer: string): Promise<void> {
  const temporary = `${path}.${writer}.new`
  await makeDirectory(dirname(path))
  try {
    const file = await open(temporary, "w", 0o600)
    try {
      for (const part of parts) await file.writeFile(part)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  await sync(dirname(path))
}

/** Makes a directory and its parents; each new one is synced into the one above it. */
export async function makeDirectory(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: 0o700 })
  if (first === undefined) return
  for (let made = path; made.length >= first.length; made = dirname(made)) await sync(dirname(made))
}

/** Makes what a file or a directory holds durable. */
export async function sync(path: string): Promise<void> {
  const opened = await open(path, "r")
  try {
    await opened.sync()
  } finally {
    await opened.close()
  }
}
