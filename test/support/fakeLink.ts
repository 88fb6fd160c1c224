/** A session without a network: what it sends is kept, and the other end reads as fast as the test says. */
import type { Identity } from "../../gateway/server/auth.ts"
import { type DoorLimits, doorLimits } from "../../gateway/server/limits.ts"
import { NO_METRICS } from "../../gateway/server/metrics.ts"
import type { Link } from "../../gateway/server/outbox.ts"
import { makeRouter } from "../../gateway/server/router.ts"
import { Session, type SessionOptions } from "../../gateway/server/session.ts"
import { type ManualClock, manualClock, settle } from "./clock.ts"
import type { Message } from "./door.ts"
import { fakeTasks, type FakeTasks } from "./fakeTasks.ts"
import { memorySecrets } from "./secrets.ts"
import { SILENT } from "./silent.ts"

export interface FakeLink extends Link {
  /** Every message that was sent, parsed. */
  readonly sent: Message[]
  readonly closes: { readonly code: number; readonly reason: string }[]
  readonly paused: () => boolean
  /** While false, nothing that is sent is taken. */
  reads: boolean
  /** Takes up to `count` messages that wait. */
  readonly take: (count?: number) => void
}

export function fakeLink(): FakeLink {
  const waiting: { readonly bytes: number; readonly taken: () => void }[] = []
  let unsent = 0
  let paused = false
  const link: FakeLink = {
    sent: [],
    closes: [],
    reads: true,
    paused: () => paused,
    send: (text, taken) => {
      link.sent.push(JSON.parse(text))
      unsent += text.length
      waiting.push({ bytes: text.length, taken })
      if (link.reads) link.take()
    },
    take: (count = Number.POSITIVE_INFINITY) => {
      for (let at = 0; at < count; at++) {
        const first = waiting.shift()
        if (first === undefined) return
        unsent -= first.bytes
        first.taken()
      }
    },
    unsentBytes: () => unsent,
    pause: () => {
      paused = true
    },
    resume: () => {
      paused = false
    },
    close: (code, reason) => link.closes.push({ code, reason }),
  }
  return link
}

export interface FakeSession {
  readonly link: FakeLink
  readonly session: Session
  readonly clock: ManualClock
  readonly tasks: FakeTasks
  /** Sends a request and lets what is ready run. */
  readonly ask: (id: string | number, method: string, params?: unknown) => Promise<void>
  readonly answer: (id: string | number) => Message
}

export function fakeSession(
  limits: Partial<DoorLimits> = {},
  more: { readonly identity?: Partial<Identity> } & Partial<
    Pick<SessionOptions, "authenticator" | "metrics" | "logger">
  > = {},
): FakeSession {
  const clock = manualClock()
  const tasks = fakeTasks(clock.nowMs)
  const link = fakeLink()
  const { logger = SILENT } = more
  const router = makeRouter({ tasks: tasks.service, secrets: memorySecrets(), logger, version: "0.0.0" })
  const identity: Identity = {
    principal: { owner: "ann", role: "user", laneMax: "urgent" },
    expiresAtMs: Number.POSITIVE_INFINITY,
    ...more.identity,
  }
  const session = new Session(link, identity, {
    router,
    authenticator: more.authenticator ?? null,
    clock,
    limits: doorLimits(limits),
    metrics: more.metrics ?? NO_METRICS,
    logger,
  })
  return {
    link,
    session,
    clock,
    tasks,
    ask: async (id, method, params = {}) => {
      session.receive(JSON.stringify({ jsonrpc: "2.0", id, method, params }))
      await settle(3)
    },
    answer: (id) => link.sent.find((message) => message.id === id),
  }
}
