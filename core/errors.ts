import { Data } from "effect"
import type { Disposition } from "./words.ts"

/**
 * Every expected failure is one of these: a tagged error with a code for programs, a message and a hint for people,
 * and a disposition that says whether the same call may succeed later. Bugs are not here: they crash the actor.
 */
export const ERROR_CODES = {
  PARSE_ERROR: ["terminal", "Send one JSON-RPC 2.0 request object as a text frame."],
  INVALID_REQUEST: ["terminal", 'Send {jsonrpc: "2.0", id, method, params}.'],
  METHOD_NOT_FOUND: ["terminal", "Call rpc.discover for the list of methods."],
  INVALID_PARAMS: ["terminal", "Correct the field that `path` names."],
  TOO_LARGE: ["terminal", "Send less: the message names the limit."],
  NOT_YET: ["terminal", "This field is reserved for a later version; leave it out."],
  UNAUTHORIZED: ["terminal", "Get a fresh token: `berth token`."],
  FORBIDDEN: ["terminal", "The token does not allow this; ask for one that does."],
  NOT_FOUND: ["terminal", "Check the id with `berth ls`; another owner's tasks are not visible."],
  WRONG_STATE: ["terminal", "Look at the task's status with `berth get` first."],
  IDEMPOTENCY_MISMATCH: ["terminal", "Use a new idempotency key for a different request."],
  RATE_LIMITED: ["retryable", "Send fewer requests a second and try again."],
  TOO_MANY: ["retryable", "Wait until earlier requests or subscriptions have ended."],
  RUNTIME_UNKNOWN: ["terminal", "Use a runtime that `berth doctor` lists, or an image and a command."],
  HANDLER_UNKNOWN: ["terminal", "Register the handler in Berth.open({handlers})."],
  SECRET_UNKNOWN: ["terminal", "Set it with `berth secret set`, then `berth retry` the task; names are one's own."],
  SECRET_KEY_WRONG: [
    "terminal",
    "Give back the key that the secrets were sealed with (`--secrets-key-file`, or `secrets.key` in the data directory).",
  ],
  ISOLATION_UNAVAILABLE: ["terminal", "Install that container runtime on the engine, or ask for another isolation."],
  SANDBOX_BELOW_FLOORS: ["terminal", "Bring the engine up to what `berth doctor` names, or start without `--strict`."],
  IMAGE_NOT_FOUND: ["terminal", "Check the image's name, or make it available to the engine."],
  IMAGE_NEEDS_SHELL: [
    "terminal",
    "Files, stdin and artifacts need `sh` and `tar` in the image; send only a command, or use another image.",
  ],
  IMAGE_REFUSED: ["terminal", "The engine refused this image or its settings; the message says why."],
  PROFILE_NOT_TAKEN: ["terminal", "The engine ignored a part of the sandbox; run `berth doctor`."],
  VERSION_CONFLICT: ["retryable", "Another writer was first: load again and decide again."],
  STORAGE_FULL: ["retryable", "Free some space in the data directory; nothing that was accepted is lost."],
  STORE_UNAVAILABLE: ["retryable", "The store did not answer; try again."],
  STORE_CORRUPT: ["terminal", "A stored record does not match its checksum; restore from a backup."],
  SCHEMA_TOO_NEW: ["terminal", "The data was written by a newer Berth; upgrade this one."],
  DATA_DIR_LOCKED: ["terminal", "Another server uses this data directory; talk to it, or choose another with --data."],
  BACKEND_UNAVAILABLE: ["retryable", "The container engine does not answer; tasks wait and go on by themselves."],
  OVERLOADED: ["retryable", "The system is at its limit; try again a little later."],
  NOT_READY: ["retryable", "The node is still reading its log; try again in a moment."],
  SHUTTING_DOWN: ["retryable", "The server is stopping; connect again in a moment."],
  CONNECTION_LOST: ["retryable", "Connect again; watches go on from their last sequence."],
  DEADLINE_EXCEEDED: ["retryable", "The call took longer than its limit; try again."],
  CONFIG_INVALID: ["terminal", "Correct the setting that the message names."],
  INTERNAL: ["retryable", "A defect in Berth; the log of the server names it."],
} as const satisfies Record<string, readonly [Disposition, string]>

export type ErrorCode = keyof typeof ERROR_CODES

export interface BerthErrorFields {
  readonly code: ErrorCode
  readonly message: string
  /** Where in the request, e.g. `params.files[0].path`. */
  readonly path?: string
  /** Replaces the code's usual hint where a better one is known. */
  readonly hint?: string
  readonly cause?: unknown
}

/** One expected failure. `code` discriminates; `retryable` and `hint` follow from it unless given. */
export class BerthError extends Data.TaggedError("BerthError")<BerthErrorFields> {
  get disposition(): Disposition {
    return ERROR_CODES[this.code][0]
  }
  get retryable(): boolean {
    return this.disposition === "retryable"
  }
  get advice(): string {
    return this.hint ?? ERROR_CODES[this.code][1]
  }
}

/** Shorthand: `fail("NOT_FOUND", "no task abc")`. */
export const berthError = (
  code: ErrorCode,
  message: string,
  more: Omit<BerthErrorFields, "code" | "message"> = {},
): BerthError => new BerthError({ code, message, ...more })

/** What an unknown failure becomes at the edge: never hidden, never untyped (I10). */
export const asBerthError = (cause: unknown): BerthError =>
  cause instanceof BerthError
    ? cause
    : berthError("INTERNAL", cause instanceof Error ? cause.message : String(cause), { cause })
