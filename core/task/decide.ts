import { createActor, type ExecutableActionObject } from "xstate"
import { type BerthError, berthError } from "../errors.ts"
import { isAtRest } from "../words.ts"
import type { TaskFact } from "./facts.ts"
import { machineValue, taskMachine } from "./machine.ts"
import type { TaskMessage } from "./messages.ts"
import { reduce } from "./reduce.ts"
import type { TaskState } from "./state.ts"

/** What must be done once the facts are durable. Idempotent; a crash in between is repaired by the reconciler. */
export type Command = {
  readonly type: "signalStop"
  readonly worker: string
  readonly taskId: string
  readonly epoch: number
  readonly mode: "cancel" | "kill"
}

export type Decision =
  | {
      readonly type: "accepted"
      readonly facts: readonly TaskFact[]
      readonly state: TaskState
      readonly commands: readonly Command[]
    }
  /** The wish is already fulfilled, e.g. a second cancel. Nothing is written. */
  | { readonly type: "unchanged" }
  | { readonly type: "refused"; readonly error: BerthError }

/**
 * What the machine asks of whoever runs it. `transition` of xstate makes an actor for every call only to have this; here one
 * that never starts serves all of them.
 */
const idle = createActor(taskMachine, { input: {} as TaskState })
const nothing = (): void => {}

/** The actions that the machine takes on this message, none of which is performed. */
function actionsOn(state: TaskState, message: TaskMessage): readonly ExecutableActionObject[] {
  const actions: ExecutableActionObject[] = []
  const snapshot = taskMachine.resolveState({ value: machineValue(state), context: state })
  taskMachine.transition(snapshot, message, {
    self: idle,
    id: idle.id,
    sessionId: idle.sessionId,
    system: idle.system,
    logger: nothing,
    defer: nothing,
    emit: nothing,
    stopChild: nothing,
    actionExecutor: (action) => void actions.push(action),
  })
  return actions
}

/** Decides one message: the machine accepts or refuses it, the reducer makes the state of what it recorded. */
export function decide(state: TaskState, message: TaskMessage): Decision {
  const facts = actionsOn(state, message).flatMap((action) =>
    action.type === "record" ? (action.params as readonly TaskFact[]) : [],
  )
  if (facts.length === 0) return withoutEffect(state, message)
  const next = facts.reduce<TaskState>((folded, fact) => reduce(folded, fact), state)
  return { type: "accepted", facts, state: next, commands: commandsOf(next, facts) }
}

function withoutEffect(state: TaskState, message: TaskMessage): Decision {
  const repeated = message.type === "cancel" && (state.stop !== null || state.status === "cancelled")
  if (repeated) return { type: "unchanged" }
  const stale = "epoch" in message && !isAtRest(state.status) && message.type !== "start"
  const why = stale
    ? `task ${state.id} is at epoch ${state.epoch}; a message of epoch ${message.epoch} comes too late`
    : `task ${state.id} is ${state.status} and does not take "${message.type}"`
  return { type: "refused", error: berthError("WRONG_STATE", why) }
}

function commandsOf(state: TaskState, facts: readonly TaskFact[]): readonly Command[] {
  const { holder, stop } = state
  if (holder === null || stop === null || !facts.some((fact) => fact.type === "stopRequested")) return []
  return [{ type: "signalStop", worker: holder.worker, taskId: state.id, epoch: holder.epoch, mode: stop.mode }]
}
