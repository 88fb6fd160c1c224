import { berthError } from "../../core/errors.ts"

/** Where a container engine listens unless `DOCKER_HOST` or the options say otherwise. */
export const DEFAULT_ENGINE = "unix:///var/run/docker.sock"

/** What runs programs. `process` isolates nothing and is only ever chosen by name; `none` leaves handlers alone. */
export const EXECUTOR_NAMES = ["docker", "process", "none"] as const
export type ExecutorName = (typeof EXECUTOR_NAMES)[number]

const WORKER_NAME = /^[A-Za-z0-9_-]{1,32}$/

/** @throws BerthError CONFIG_INVALID for a worker's name that is no plain name */
export function workerNamed(given: string): string {
  if (WORKER_NAME.test(given)) return given
  throw berthError("CONFIG_INVALID", "a worker's name is 1 to 32 of [A-Za-z0-9_-]", { path: "worker" })
}

/** @throws BerthError CONFIG_INVALID for a name that is none of `EXECUTOR_NAMES` */
export function executorName(given: string | undefined): ExecutorName {
  const found = EXECUTOR_NAMES.find((name) => name === (given ?? "docker"))
  if (found !== undefined) return found
  throw berthError("CONFIG_INVALID", `executor must be one of ${EXECUTOR_NAMES.join(", ")}, not ${given}`, {
    path: "executor",
  })
}
