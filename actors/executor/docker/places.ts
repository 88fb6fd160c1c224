import type { ContainerInfo } from "dockerode"
import { Effect } from "effect"
import type { BerthError } from "../../../core/errors.ts"
import type { FoundPlace } from "../../../core/ports/executor.ts"
import { CALLS } from "./client.ts"
import type { Context } from "./context.ts"
import { LABEL, taskOfName } from "./names.ts"

/**
 * Containers of this cluster and of the named workers, whatever their state. Candidates only: an image may carry any label,
 * so the log decides what a container is.
 */
export const findPlaces = (
  ctx: Context,
  workers: readonly string[] | null,
): Effect.Effect<readonly FoundPlace[], BerthError> => {
  const wanted = workers === null ? null : new Set(workers)
  const filters = { label: [`${LABEL.cluster}=${ctx.options.cluster}`] }
  return Effect.map(
    ctx.engine.call<ContainerInfo[]>(CALLS.list, () => ctx.engine.docker.listContainers({ all: true, filters })),
    (found) =>
      found
        .filter((container) => (container.Labels[LABEL.worker] ?? "") !== "")
        // A shell probe is nobody's attempt, and removes itself unless its process died.
        .filter(({ Names }) => !Names.some((name) => ctx.shells.isUnderWay(name.slice(1))))
        .filter((container) => wanted === null || wanted.has(container.Labels[LABEL.worker] ?? ""))
        .map((container) => ({
          containerId: container.Id,
          worker: container.Labels[LABEL.worker] ?? "",
          taskId: container.Names.map(taskOfName).find((taskId) => taskId !== null) ?? null,
          running: container.State === "running" || container.State === "paused",
        })),
  )
}
