/** Cuts bytes into chunks at the given places, taken modulo the length; the chunks together are the bytes. */
export const cut = (whole: Uint8Array, places: readonly number[]): Uint8Array[] => {
  const at = [...new Set(places.map((place) => place % (whole.length + 1)))].sort((a, b) => a - b)
  const bounds = [0, ...at, whole.length]
  return bounds.slice(1).map((end, index) => whole.subarray(bounds[index] ?? 0, end))
}
