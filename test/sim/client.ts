/** The people outside: they submit until they are told that it is accepted, cancel, retry, and watch. */
import { Effect, Exit, Stream } from "effect"
import type { Principal, WatchEvent } from "../../actors/api.ts"
import type { BerthNode } from "../../actors/node.ts"
import { keyedId } from "../../actors/submit.ts"
import type { BerthError } from "../../core/errors.ts"
import type { SubmitRequest } from "../../core/task/request.ts"
import { LANES } from "../../core/words.ts"
import { ENDINGS } from "./engine.ts"
import type { Invariants } from "./invariants.ts"
import type { Life, Schedule } from "./schedule.ts"
import { streamOf } from "../support/watching.ts"

export interface Watch {
  readonly taskId: string
  /** What was seen, in order; `null` sequences are live output. */
  readonly events: WatchEvent[]
  isOpen: boolean
  /** Whom it watches; what an earlier one still sends is not heard. */
  life: Life | null
  isEnded: boolean
}

const WATCH_AGAIN_MS = 100
const OWNERS = ["ann", "bob", "cid"] as const

interface Asked {
  readonly principal: Principal
  readonly request: SubmitRequest
  readonly id: string
}

export class Client {
  /** Tasks that a reply said were accepted. */
  readonly accepted = new Set<string>()
  readonly watches: Watch[] = []
  readonly #schedule: Schedule
  readonly #invariants: Invariants
  readonly #tasksMax: number
  readonly #requests: Asked[] = []

  constructor(schedule: Schedule, invariants: Invariants, tasksMax: number) {
    this.#schedule = schedule
    this.#invariants = invariants
    this.#tasksMax = tasksMax
  }

  get isDone(): boolean {
    return this.accepted.size === this.#tasksMax
  }

  /** One thing that somebody does. */
  act(node: BerthNode, life: Life): void {
    const unanswered = this.#requests.filter(({ id }) => !this.accepted.has(id))
    const choice = this.#schedule.whole(0, 9)
    if (this.#requests.length < this.#tasksMax && choice < 6) this.#submit(node, this.#newRequest())
    else if (unanswered.length > 0 && choice < 8) this.#submit(node, this.#schedule.pick(unanswered))
    else if (this.accepted.size > 0) this.#meddle(node, this.#schedule.pick([...this.accepted]), life)
  }

  /** Whoever watched a life that is over comes back to the next one. */
  reopen(life: Life): void {
    for (const watch of this.watches) if (watch.life === life) watch.isOpen = false
  }

  watchAgain(node: BerthNode, life: Life): void {
    for (const watch of this.watches) if (!watch.isOpen && !watch.isEnded) this.#watch(node, watch, life)
  }

  #newRequest(): Asked {
    const number = this.#requests.length
    const owner = this.#schedule.pick(OWNERS)
    const plan = [this.#schedule.pick(ENDINGS), String(this.#schedule.whole(0, 4))]
    const isHandler = this.#schedule.chance(0.25)
    const request: SubmitRequest = {
      ...(isHandler ? { handler: "run", input: plan } : { image: "alpine", command: plan }),
      idempotencyKey: `key-${number}`,
      lane: this.#schedule.pick(LANES),
      timeoutMs: this.#schedule.whole(2_000, 10_000),
      graceMs: 500,
      maxAttempts: this.#schedule.pick([1, 3, 3]),
      onLost: this.#schedule.pick(["retry", "retry", "fail"]),
    }
    const principal: Principal = { owner, role: "user", laneMax: "urgent" }
    const made = { principal, request, id: keyedId(owner, `key-${number}`) }
    this.#requests.push(made)
    return made
  }

  #submit(node: BerthNode, { id, principal, request }: Asked): void {
    const submit = node.service.submit(principal, request, JSON.stringify(request))
    this.#answered(submit, (exit) => {
      if (!Exit.isSuccess(exit)) return
      if (exit.value.task.id !== id) this.#invariants.fail(`I1: ${id} was accepted as ${exit.value.task.id}`)
      if (!this.#invariants.states.has(id))
        this.#invariants.fail(`I1: ${id} was accepted, and the log does not have it`)
      this.accepted.add(id)
    })
  }

  #meddle(node: BerthNode, taskId: string, life: Life): void {
    const request = this.#requests.find(({ id }) => id === taskId)
    if (request === undefined) return
    const { principal } = request
    const choice = this.#schedule.whole(0, 9)
    const mode = this.#schedule.pick(["cancel", "kill"] as const)
    if (choice < 2) this.#answered(node.service.cancel(principal, taskId, mode), () => {})
    else if (choice < 3) this.#answered(node.service.retry(principal, taskId), () => {})
    else if (choice < 4)
      this.#answered(node.service.update(principal, taskId, { labels: { n: String(choice) } }), () => {})
    else if (!this.watches.some((watch) => watch.taskId === taskId)) {
      const watch: Watch = { taskId, events: [], isOpen: false, life: null, isEnded: false }
      this.watches.push(watch)
      this.#watch(node, watch, life)
    }
  }

  #watch(node: BerthNode, watch: Watch, life: Life): void {
    watch.isOpen = true
    watch.life = life
    const admin: Principal = { owner: "root", role: "admin", laneMax: "urgent" }
    // Events of one record share its sequence: what came of the last one is asked for again, whole.
    const lastSeq = watch.events.findLast(({ seq }) => seq !== null)?.seq ?? 0
    while (watch.events.length > 0 && (watch.events.at(-1)?.seq ?? lastSeq) === lastSeq) watch.events.pop()
    const from = Math.max(0, lastSeq - 1)
    const each = (event: WatchEvent) =>
      Effect.sync(() => {
        if (life.isOver || watch.life !== life) return
        watch.events.push(event)
        if (event.type === "end") watch.isEnded = true
      })
    this.#answered(Stream.runForEach(streamOf(node.service.watch(admin, watch.taskId, from)), each), () => {
      if (life.isOver || watch.life !== life || watch.isEnded) return
      watch.isOpen = false
      const readyAtMs = this.#schedule.nowMs + WATCH_AGAIN_MS
      const again = (): void => (watch.isOpen ? undefined : this.#watch(node, watch, life))
      this.#schedule.add({ label: `watch ${watch.taskId}`, life, readyAtMs, happen: again })
    })
  }

  #answered<A>(effect: Effect.Effect<A, BerthError>, then: (exit: Exit.Exit<A, BerthError>) => void): void {
    Effect.runFork(effect).addObserver((exit) => {
      if (Exit.isFailure(exit) && exit.cause.reasons.some((reason) => reason._tag === "Die"))
        this.#invariants.fail(`a call of the service crashed: ${String(exit.cause)}`)
      then(exit)
    })
  }
}
