import { describe, expect, it } from "vitest"
import type { BackendEvent, QueueStats, SystemInfo, TaskView, WatchEvent } from "../../actors/api.ts"
import type { SubmitRequest } from "../../core/task/request.ts"
import type { AttemptResult } from "../../core/task/result.ts"
import type { WireEvent } from "../../gateway/protocol/events.ts"
import type { MethodParams, MethodResult } from "../../gateway/protocol/methods.ts"
import type { QueueStats as WireStats, SystemInfo as WireInfo } from "../../gateway/protocol/system.ts"
import type { Task } from "../../gateway/protocol/task.ts"

/** Each may stand in for the other. */
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false
const is = <_T extends true>(): void => undefined
/** Also the names of the optional fields are the same, which `extends` alone would not notice. */
type SameKeys<A, B> = Same<keyof A, keyof B>

type WithoutOutput<E extends { type: string }> = Exclude<E, { type: "output" }>

describe("the protocol's types are those of core and actors", () => {
  it("compiles", () => {
    is<Same<Omit<MethodParams<"task.submit">, "watch">, SubmitRequest>>()
    is<SameKeys<Omit<MethodParams<"task.submit">, "watch">, SubmitRequest>>()
    is<Same<Task, TaskView>>()
    is<SameKeys<Task, TaskView>>()
    is<Same<NonNullable<Task["result"]>, AttemptResult>>()
    is<SameKeys<NonNullable<Task["result"]>, AttemptResult>>()
    is<Same<typeof WireStats.Type, QueueStats>>()
    is<Same<typeof WireInfo.Type, SystemInfo>>()
    is<Same<WithoutOutput<WireEvent>, WithoutOutput<WatchEvent | BackendEvent>>>()
    is<Same<MethodResult<"task.delete">, { readonly id: string; readonly seq: number }>>()

    // @ts-expect-error an owner is never a part of a request
    const bad: MethodParams<"task.submit"> = { runtime: "python", code: "1", owner: "bob" }
    expect(bad).toBeDefined()
  })
})
