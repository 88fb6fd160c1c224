import type { Calls, CallOptions } from "./calls.ts"

/** One's own secrets: names here, values only in programs that name them. */
export class SecretNames {
  readonly #calls: Calls

  constructor(calls: Calls) {
    this.#calls = calls
  }

  /** Keeps a value under a name, in the place of an earlier one. It never comes back. */
  async set(name: string, value: string, options: CallOptions = {}): Promise<void> {
    await this.#calls.call("secret.set", { name, value }, options)
  }

  /** The names, in order. */
  async list(options: CallOptions = {}): Promise<readonly string[]> {
    return (await this.#calls.call("secret.list", {}, options)).names
  }

  /** Removes a secret; false: there was none. Programs that run have it already. */
  async delete(name: string, options: CallOptions = {}): Promise<boolean> {
    return (await this.#calls.call("secret.delete", { name }, options)).removed
  }
}
