/** Submits over the memory adapters, by two people. */
import type { Principal } from "../../actors/api.ts"
import { makeSubmit } from "../../actors/submit.ts"
import type { SubmitRequest } from "../../core/task/request.ts"
import { makeRig, type RigOptions } from "./actorRig.ts"

export const ANN: Principal = { owner: "ann", role: "user", laneMax: "urgent" }
export const BOB: Principal = { ...ANN, owner: "bob" }
export const keyed = (more: Partial<SubmitRequest> = {}): SubmitRequest => ({
  handler: "noop",
  input: 1,
  idempotencyKey: "k1",
  ...more,
})
export const hashOf = (request: SubmitRequest): string => JSON.stringify(request)

export const rigged = (options: RigOptions = {}) => {
  const rig = makeRig(options)
  let submittedCount = 0
  const submit = makeSubmit({ ...rig, handlers: null, onSubmitted: () => void (submittedCount += 1) })
  return {
    ...rig,
    send: (who: Principal, request: SubmitRequest) => submit(who, request, hashOf(request)),
    count: () => submittedCount,
  }
}
