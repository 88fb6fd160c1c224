/** The open sockets: how many there may be, of whom they are, and how all of them end. */
import type { WebSocket } from "ws"
import { berthError, type BerthError } from "../../core/errors.ts"
import type { CloseCode } from "../protocol/limits.ts"
import type { DoorLimits } from "./limits.ts"
import type { Link } from "./outbox.ts"

interface Open {
  readonly owner: string
  readonly close: Link["close"]
}

export class Connections {
  readonly #limits: Pick<DoorLimits, "connectionsMax" | "connectionsPerOwnerMax">
  readonly #open = new Map<WebSocket, Open>()
  readonly #ofOwner = new Map<string, number>()
  #closing = false
  #whenGone: (() => void)[] = []

  constructor(limits: Pick<DoorLimits, "connectionsMax" | "connectionsPerOwnerMax">) {
    this.#limits = limits
  }

  get count(): number {
    return this.#open.size
  }

  /** Why one more of this owner cannot be let in, or null. */
  placeError(owner: string): BerthError | null {
    const { connectionsMax, connectionsPerOwnerMax } = this.#limits
    if (this.#closing) return berthError("SHUTTING_DOWN", "the server is stopping")
    if (this.count >= connectionsMax) return berthError("OVERLOADED", `at most ${connectionsMax} connections`)
    return (this.#ofOwner.get(owner) ?? 0) < connectionsPerOwnerMax
      ? null
      : berthError("TOO_MANY", `at most ${connectionsPerOwnerMax} connections of one owner`)
  }

  /** Keeps a socket until it closes. */
  add(socket: WebSocket, owner: string, close: Link["close"]): void {
    this.#open.set(socket, { owner, close })
    this.#ofOwner.set(owner, (this.#ofOwner.get(owner) ?? 0) + 1)
    socket.on("close", () => {
      this.#open.delete(socket)
      const left = (this.#ofOwner.get(owner) ?? 1) - 1
      if (left === 0) this.#ofOwner.delete(owner)
      else this.#ofOwner.set(owner, left)
      this.#tellGone()
    })
  }

  /** Lets nobody in any more and tells everybody to go. */
  closeAll(code: CloseCode, reason: string): void {
    this.#closing = true
    for (const { close } of this.#open.values()) close(code, reason)
  }

  /** Calls back once nobody is there any more. */
  whenGone(callback: () => void): void {
    this.#whenGone.push(callback)
    this.#tellGone()
  }

  #tellGone(): void {
    if (this.count === 0) for (const callback of this.#whenGone.splice(0)) callback()
  }

  /** Cuts off whoever is still there. */
  cutAll(): void {
    for (const socket of this.#open.keys()) socket.terminate()
  }
}
