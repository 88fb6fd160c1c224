import type { ContainerCreateOptions } from "dockerode"
import type { Effect } from "effect"
import type { BerthError } from "../../../core/errors.ts"
import type { Job } from "../../../core/ports/executor.ts"
import type { Guard } from "../guard.ts"

/** Credentials for one registry, as the engine takes them. */
export interface RegistryLogin {
  readonly username: string
  readonly password: string
  readonly serveraddress: string
}

export interface DockerOptions {
  /** Address of the engine, e.g. `unix:///var/run/docker.sock`. */
  readonly engine: string
  readonly cluster: string
  readonly worker: string
  readonly pool: string
  /** Known to every worker of the cluster and to nobody else; markers and adoption depend on it. */
  readonly markerKey: string
  /** Leases a block of user ids, asked once; `inUse` are the blocks of containers that exist, of whatever cluster. */
  readonly leaseUids: (inUse: ReadonlySet<number>) => Effect.Effect<number, BerthError>
  readonly guard: Guard
  /** Its own guard: a registry that is down says nothing about the engine. */
  readonly pullGuard: Guard
  readonly accepting: () => boolean
  readonly clock: {
    readonly nowMs: () => number
    readonly monoMs: () => number
    readonly sleep: (ms: number) => Effect.Effect<void>
  }
  /** Values of the secrets that a program names; read when the attempt is fed. */
  readonly secrets: (job: Job) => Effect.Effect<Readonly<Record<string, string>>, BerthError>
  readonly registryLogin?: (image: string) => RegistryLogin | null
  /** What a container is created with instead: for tests that make a hole in the sandbox and look whether it is found. */
  readonly profile?: (body: ContainerCreateOptions) => ContainerCreateOptions
  /** Whether images that the engine lacks are pulled. Default true. */
  readonly pull?: boolean
  readonly pullMsMax?: number
  readonly pullsAtOnce?: number
  /** Happens when half of a program's archive has been written. Default: nothing. */
  readonly halfFed?: Effect.Effect<void>
  /** How long an ended container waits for its files to be taken. Default 15 minutes. */
  readonly holdMs?: number
}

export const DEFAULTS = {
  pull: true,
  pullMsMax: 10 * 60_000,
  pullsAtOnce: 2,
  holdMs: 15 * 60_000,
} as const
