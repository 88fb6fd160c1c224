import { berthError } from "../../core/errors.ts"

/** Where a container engine listens unless `DOCKER_HOST` or the options say otherwise. */
export const DEFAULT_ENGINE = "unix:///var/run/docker.sock"

/** What runs programs. `process` isolates nothing and is only ever chosen by name; `none` leaves handlers alone. */
export const EXECUTOR_NAMES = ["docker", "process", "none"] as const
export type ExecutorName = (typeof EXECUTOR_NAMES)[number]

/** @throws BerthError CONFIG_INVALID for a name that is none of `EXECUTOR_NAMES` */
export function executorName(given: string | undefined): ExecutorName {
  const found = EXECUTOR_NAMES.find((name) => name === (given ?? "docker"))
  if (found !== undefined) return found
  throw berthError("CONFIG_INVALID", `executor must be one of ${EXECUTOR_NAMES.join(", ")}, not ${given}`, {
    path: "executor",
  })
}
