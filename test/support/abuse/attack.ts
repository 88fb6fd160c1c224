/** What an attack on the door is, and what it is aimed at: a real server, of which it knows what anybody may know. */
import { join } from "node:path"
import { readFileSync } from "node:fs"
import type { Principal } from "../../../actors/api.ts"
import { DOOR } from "../../../gateway/protocol/limits.ts"
import { mintToken, SECRET_FILE } from "../../../gateway/server/secret.ts"
import { handshake, type Message } from "../door.ts"
import type { Ready } from "../serverProcess.ts"

export interface Target {
  readonly url: string
  readonly socketUrl: string
  readonly port: number
  /** The key of its tokens. Only for what its owner could have made: expired ones, ones for others. */
  readonly secret: Uint8Array
  readonly token: (owner: string, more?: Partial<Principal>, lifeMs?: number) => Promise<string>
}

export interface Attack {
  readonly name: string
  /** What has to come of it: a refusal's HTTP status and code, an error's code and path, or `closed` and a close code. */
  readonly expected: string
  /** Carries it out against owners of its own, and says what came of it. */
  readonly run: (target: Target) => Promise<string>
  /** Waits for one of the door's own times: carried out beside others of its kind, where nothing is measured. */
  readonly isPatient?: boolean
}

export function targetOf({ dataDir, url }: Ready): Target {
  const secret = Buffer.from(readFileSync(join(dataDir, SECRET_FILE), "utf8").trim(), "base64url")
  return {
    url,
    socketUrl: `${url.replace("http", "ws")}/v1`,
    port: Number(new URL(url).port),
    secret,
    token: (owner, more = {}, lifeMs = DOOR.tokenMsMax) =>
      mintToken(secret, { owner, role: "user", laneMax: "urgent", ...more }, Date.now(), lifeMs),
  }
}

export const bearer = (token: string): { readonly authorization: string } => ({ authorization: `Bearer ${token}` })

/** `101`, or the status and code of a handshake's refusal. */
export async function knock(target: Target, options: Parameters<typeof handshake>[1]): Promise<string> {
  const { body, status } = await handshake(target, options)
  return status === 101 ? "101" : `${status} ${body?.error?.code ?? "without a code"}`
}

/** `ok`, or the code and path of an answer's error. */
export const told = (answer: Message): string =>
  answer.error === undefined ? "ok" : [answer.error.data.code, answer.error.data.path ?? ""].join(" ").trim()

/** One line for many answers that have to be alike. */
export const alike = (answers: readonly string[]): string => [...new Set(answers)].sort().join(" | ")
