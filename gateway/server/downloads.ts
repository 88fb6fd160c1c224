/** Downloads under way: each holds a whole artifact, from before it is looked up until its response is gone, read or not. */
import type { IncomingMessage, ServerResponse } from "node:http"
import { berthError, type BerthError } from "../../core/errors.ts"
import type { DoorLimits } from "./limits.ts"

export class Downloads {
  readonly #limits: Pick<DoorLimits, "downloadsMax" | "downloadsPerOwnerMax">
  readonly #ofOwner = new Map<string, number>()
  #count = 0

  constructor(limits: Pick<DoorLimits, "downloadsMax" | "downloadsPerOwnerMax">) {
    this.#limits = limits
  }

  /** Takes a place for one more until it is gone; or says why there is none. */
  begin(owner: string, { socket }: IncomingMessage, response: ServerResponse): BerthError | null {
    const { downloadsMax, downloadsPerOwnerMax } = this.#limits
    if (socket.destroyed) return berthError("CONNECTION_LOST", "the connection was closed")
    if ((this.#ofOwner.get(owner) ?? 0) >= downloadsPerOwnerMax)
      return berthError("TOO_MANY", `at most ${downloadsPerOwnerMax} downloads of one owner at a time`, {
        hint: "Read, or close, what was asked for before.",
      })
    if (this.#count >= downloadsMax) return berthError("OVERLOADED", `at most ${downloadsMax} downloads at a time`)
    this.#add(owner, 1)
    const gone = (): void => {
      response.off("close", gone)
      socket.off("close", gone)
      this.#add(owner, -1)
    }
    response.on("close", gone)
    // A response that stands behind another one of its connection is told nothing when that closes.
    socket.on("close", gone)
    return null
  }

  #add(owner: string, by: 1 | -1): void {
    this.#count += by
    const own = (this.#ofOwner.get(owner) ?? 0) + by
    if (own === 0) this.#ofOwner.delete(owner)
    else this.#ofOwner.set(owner, own)
  }
}
