/** What JetStream answers, read without the client's own classes: two answers of three are a number. */
import { type ApiError, JetStreamApiError } from "@nats-io/jetstream"
import { headers, type Msg, type MsgHdrs } from "@nats-io/transport-node"

const NO_MESSAGE = 10037
const EXPECTED = "Nats-Expected-Last-Subject-Sequence"

/** A message as the stream's leader has it. */
export interface Stored {
  readonly seq: number
  readonly subject: string
  readonly data: Uint8Array
  readonly hasHeader: (name: string) => boolean
}

interface Answer {
  readonly error?: ApiError
  readonly stream?: string
  readonly seq?: number
  /** Headers and data are in base64. */
  readonly message?: { readonly seq: number; readonly subject: string; readonly hdrs?: string; readonly data?: string }
}

const textOf = ({ data }: Msg): string => Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString()
const bytesOf = (base64 = ""): Buffer => Buffer.from(base64, "base64")

/** The sequence that a message was stored at. Throws JetStreamApiError for a refusal, and for an answer that is none of a stream's. */
export function seqOf(message: Msg): number {
  const { error, seq, stream = "" } = JSON.parse(textOf(message)) as Answer
  if (error !== undefined) throw new JetStreamApiError(error)
  if (seq === undefined || stream === "") throw new Error("the answer is not a stream's")
  return seq
}

/** The message that was asked for, or null where there is none. Throws JetStreamApiError for another refusal. */
export function storedOf(message: Msg): Stored | null {
  const { error, message: found } = JSON.parse(textOf(message)) as Answer
  if (error?.err_code === NO_MESSAGE) return null
  if (error !== undefined) throw new JetStreamApiError(error)
  if (found === undefined) throw new Error("the answer is not a stream's")
  const { hdrs, seq, subject } = found
  return {
    seq,
    subject,
    data: bytesOf(found.data),
    hasHeader: (name) => bytesOf(hdrs).toString().includes(`\r\n${name}:`),
  }
}

/** The headers of a message that is stored only while its subject's last sequence is `expected`; undefined: whatever it is. */
export function expecting(expected: number | undefined, others?: MsgHdrs): MsgHdrs | undefined {
  if (expected === undefined) return others
  const all = others ?? headers()
  all.set(EXPECTED, String(expected))
  return all
}
