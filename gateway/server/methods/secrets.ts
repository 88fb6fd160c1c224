/** The methods of secrets. Each caller has its own, admins too: nobody reads or names another's. */
import { Effect } from "effect"
import type { Method } from "./call.ts"

export const secretSet: Method<"secret.set"> = {
  role: "user",
  handle: ({ principal, secrets }, { name, value }) => Effect.as(secrets.set(principal.owner, name, value), {}),
}

export const secretList: Method<"secret.list"> = {
  role: "user",
  handle: ({ principal, secrets }) => Effect.map(secrets.list(principal.owner), (names) => ({ names })),
}

export const secretDelete: Method<"secret.delete"> = {
  role: "user",
  handle: ({ principal, secrets }, { name }) =>
    Effect.map(secrets.remove(principal.owner, name), (removed) => ({ removed })),
}
