import { Result } from "effect"
import { decodeResult } from "../protocol/decode.ts"
import type { MethodName, MethodParams, MethodResult } from "../protocol/methods.ts"
import type { Rpc } from "./rpc.ts"
import type { WatchHub } from "./watchHub.ts"

/** What every call takes. */
export interface CallOptions {
  /** Gives up waiting; the call rejects with the signal's reason. What was sent may still take effect. */
  readonly signal?: AbortSignal
  /** Longest wait for the answer, reconnecting included. The call then rejects with DEADLINE_EXCEEDED. */
  readonly deadlineMs?: number
}

/** Methods that may be sent twice without harm. A submit carries its idempotency key. */
const REPEATABLE: ReadonlySet<MethodName> = new Set<MethodName>([
  "task.submit",
  "task.get",
  "task.list",
  "task.update",
  "task.cancel",
  "task.kill",
  "dlq.list",
  "queue.stats",
  "system.info",
  "secret.set",
  "secret.list",
  "rpc.discover",
])

/** Calls by method, with answers decoded and their sequence remembered. */
export class Calls {
  readonly #rpc: Rpc
  readonly #hub: WatchHub
  readonly #deadlineMs: number

  constructor(rpc: Rpc, hub: WatchHub, deadlineMs: number) {
    this.#rpc = rpc
    this.#hub = hub
    this.#deadlineMs = deadlineMs
  }

  call<M extends MethodName>(method: M, params: MethodParams<M>, options: CallOptions = {}): Promise<MethodResult<M>> {
    return this.callFor(method, params, options, (result) => result)
  }

  /** As `call`; `use` has the answer before the frame after it is read, which may belong to what the answer opened. */
  callFor<M extends MethodName, A>(
    method: M,
    params: MethodParams<M>,
    options: CallOptions,
    use: (result: MethodResult<M>) => A,
  ): Promise<A> {
    return new Promise((resolve, reject) => {
      this.#rpc.begin({
        method,
        params,
        repeatable: REPEATABLE.has(method),
        deadlineMs: options.deadlineMs ?? this.#deadlineMs,
        signal: options.signal,
        succeed: (result) => {
          const decoded = decodeResult(method, result)
          if (Result.isFailure(decoded)) return reject(decoded.failure)
          const { success } = decoded
          if ("seq" in success && typeof success.seq === "number") this.#hub.noteSeq(success.seq)
          resolve(use(success))
        },
        fail: reject,
      })
    })
  }

  /** Goes into reads, so that they show what this client has written or seen. */
  minSeq(): { readonly minSeq?: number } {
    return this.#hub.seq === 0 ? {} : { minSeq: this.#hub.seq }
  }
}
