/** A new idempotency key of 128 random bits: a submit whose reply was lost can be sent again and makes no second task. */
export function submitKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return `sdk-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`
}
