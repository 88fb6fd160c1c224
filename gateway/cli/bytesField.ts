const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** Bytes as a request carries them: as text where that is exact, else base64. */
export function bytesField(bytes: Uint8Array): { readonly content: string; readonly encoding: "utf8" | "base64" } {
  try {
    return { content: strict.decode(bytes), encoding: "utf8" }
  } catch {
    return { content: Buffer.from(bytes).toString("base64"), encoding: "base64" }
  }
}
