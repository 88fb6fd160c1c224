/** One file that a program left in /box/out: its address, checked before anything is looked up. */
import { Effect } from "effect"
import type { Principal, TaskService } from "../../actors/api.ts"
import { berthError, type BerthError } from "../../core/errors.ts"
import { LIMITS } from "../../core/limits.ts"
import { ID_PATTERN } from "../../core/record.ts"
import { pathFault } from "../protocol/fields.ts"

const depthFault = (path: string): string | undefined =>
  path.split("/").length > LIMITS.artifactDepthMax ? `a path is at most ${LIMITS.artifactDepthMax} deep` : undefined

/** Reads one artifact whole; INVALID_PARAMS for an address that cannot be one. */
export function readArtifact(
  tasks: TaskService["Service"],
  principal: Principal,
  taskId: string,
  path: string,
): Effect.Effect<Uint8Array, BerthError> {
  if (!ID_PATTERN.test(taskId))
    return Effect.fail(berthError("INVALID_PARAMS", "an id is 1 to 64 of `A-Z a-z 0-9 _ -`", { path: "id" }))
  const fault = pathFault(path) ?? depthFault(path)
  return fault === undefined
    ? tasks.artifact(principal, taskId, path)
    : Effect.fail(berthError("INVALID_PARAMS", fault, { path: "path" }))
}

/** A Content-Disposition that makes a browser save and never show; the name encoded as RFC 8187 wants it. */
export function dispositionOf(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1)
  const encoded = encodeURIComponent(name).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return `attachment; filename*=UTF-8''${encoded}`
}
