import { expect } from "vitest"
import type { Attack } from "../../actors/attacks/attack.ts"
import type { RunOutcome, SubmitRequest } from "../../gateway/main/index.ts"
import type { Scene } from "./scene.ts"

/** One hostile program: how it must end, and what must hold beside that which holds for all. */
export interface Row {
  readonly name: string
  readonly request: (scene: Scene) => SubmitRequest | Promise<SubmitRequest>
  readonly ends: Partial<Pick<RunOutcome, "status" | "reason" | "exitCode" | "signal">>
  readonly holds?: (seen: RunOutcome, scene: Scene) => void | Promise<void>
}

/** An attack of the doctor as a row. */
export const attackRow = (attack: Attack, ends: Row["ends"]): Row => ({
  name: attack.name,
  request: () => attack.request,
  ends,
  holds: (seen) => {
    const { result } = seen.task
    if (result === null) throw new Error("there is no result")
    expect(attack.judge({ ...result, stdout: seen.stdout }).filter(({ broke }) => broke !== null)).toEqual([])
  },
})

export const python = (code: string, more: Partial<SubmitRequest> = {}): Row["request"] => {
  const request: SubmitRequest = { runtime: "python", code, ...more }
  return () => request
}

export const bash = (code: string, more: Partial<SubmitRequest> = {}): Row["request"] => {
  const request: SubmitRequest = { runtime: "bash", code, ...more }
  return () => request
}

export const COMPLETED = { status: "completed", reason: "exit_zero", exitCode: 0 } as const
export const TIMED_OUT = { status: "timeout", reason: "deadline" } as const
export const OUT_OF_MEMORY = { status: "failed", reason: "out_of_memory" } as const
