/** From somebody who was let in: messages, frames, ids and keys that are wrong, and tasks of others. */
import { DOOR } from "../../../gateway/protocol/limits.ts"
import { connectRaw, type Message, type RawClient } from "../door.ts"
import { alike, type Attack, bearer, type Target, told } from "./attack.ts"
import { padded, sendBrokenUtf8, sendFragmentsForEver, sendInParts, sendReservedBits } from "./badFrames.ts"
import { BAD_IDS, BAD_MESSAGES, ID_METHODS, paramsFor } from "./badMessages.ts"

const ECHO = { runtime: "bash", code: "echo 1" }

/** A row over one connection of an owner of its own. */
const connected = (
  name: string,
  expected: string,
  body: (client: RawClient, target: Target) => Promise<string>,
): Attack => ({
  name,
  expected,
  run: async (target) => {
    const client = await connectRaw(target, await target.token(`row-${name.replace(/\W/g, "-").slice(0, 50)}`))
    try {
      return await body(client, target)
    } finally {
      client.close()
    }
  },
})

const framing = (name: string, code: number, send: (client: RawClient) => unknown): Attack =>
  connected(name, `closed ${code}`, async (client) => {
    await send(client)
    return `closed ${(await client.closed).code}`
  })

/** An answer with the id that was asked for taken out of it. */
const without = (id: string, answer: Message): string =>
  JSON.stringify(answer.error ?? answer.result).replaceAll(id, "ID")

const othersTask = connected("every method on another owner's task", "as for an unknown id", async (client, target) => {
  const owner = await connectRaw(target, await target.token("has-a-task"))
  const { id } = (await owner.call("task.submit", ECHO)).result.task
  const differing: string[] = []
  const methods = [...ID_METHODS, "dlq.requeue"]
  for (const method of methods) {
    const answers = [
      await client.call(method, paramsFor(method, id)),
      await client.call(method, paramsFor(method, "nobodys")),
    ]
    const [foreign, unknown] = [without(id, answers[0]), without("nobodys", answers[1])]
    if (foreign !== unknown || !foreign.includes("NOT_FOUND")) differing.push(`${method}: ${foreign} ${unknown}`)
  }
  const file = async (task: string): Promise<string> => {
    const headers = bearer(await target.token("row-files"))
    const response = await fetch(`${target.url}/v1/tasks/${task}/artifacts/x`, { headers })
    return `${response.status} ${(await response.text()).replaceAll(task, "ID")}`
  }
  if ((await file(id)) !== (await file("nobodys"))) differing.push("artifact")
  const mine = (await client.call("task.list", {})).result.tasks
  owner.close()
  if (mine.length > 0) differing.push("task.list")
  return differing.length === 0 ? "as for an unknown id" : differing.join("; ")
})

export const MESSAGE_ATTACKS: readonly Attack[] = [
  ...BAD_MESSAGES.map(({ code, name, path, text }) =>
    connected(`a message: ${name}`, `${code} ${path ?? ""}`.trim(), async (client) => {
      client.sendText(text)
      return told(await client.next())
    }),
  ),
  connected("a binary frame", "PARSE_ERROR", async (client) => {
    client.socket.send(Buffer.from("{}"))
    return told(await client.next())
  }),
  connected("ids that would leave their subject", "INVALID_PARAMS params.id", async (client) => {
    const answers: string[] = []
    for (const id of BAD_IDS)
      for (const method of ID_METHODS) answers.push(told(await client.call(method, paramsFor(method, id))))
    return alike(answers)
  }),
  othersTask,
  connected("one idempotency key with two bodies", "IDEMPOTENCY_MISMATCH params.idempotencyKey", async (client) => {
    await client.call("task.submit", { ...ECHO, idempotencyKey: "k" })
    return told(await client.call("task.submit", { ...ECHO, code: "echo 2", idempotencyKey: "k" }))
  }),
  connected("one idempotency key of two owners", "two tasks", async (client, target) => {
    const other = await connectRaw(target, await target.token("other-of-key"))
    const tasks = await Promise.all(
      [client, other].map(async (each) => (await each.call("task.submit", { ...ECHO, idempotencyKey: "same" })).result),
    )
    other.close()
    return new Set(tasks.map(({ task }) => task.id)).size === 2 ? "two tasks" : "one task"
  }),
  framing("a message over a mebibyte", 1009, ({ socket }) => socket.send(padded(DOOR.frameBytesMax + 1))),
  framing("sixty-five fragments", 1008, ({ socket }) => sendInParts(socket, DOOR.fragmentsMax + 1)),
  framing("a million fragments", 1008, sendFragmentsForEver),
  framing("text that is no UTF-8", 1007, ({ socket }) => sendBrokenUtf8(socket)),
  framing("frames with reserved bits", 1002, ({ socket }) => sendReservedBits(socket)),
]
