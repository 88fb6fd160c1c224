/**
 * A program with a worker inside, which has a handler and runs programs as processes. It takes the flags of `berth serve` and
 * prints the same line, so that it is started and killed as the shipped server is.
 */
import { appendFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import type * as Library from "../../gateway/main/index.ts"
import type { MarkInput } from "./orders.ts"

/** The built library: what is transpiled at every start would make each kill a long one. */
const library = join(import.meta.dirname, "../../dist/gateway/main/index.js")
const { Berth } = (await import(library)) as typeof Library

const text = { type: "string" } as const
const { values } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: "boolean" },
    data: { ...text, default: "" },
    port: { ...text, default: "0" },
    slots: { ...text, default: "4" },
    replicas: { ...text, default: "1" },
    executor: text,
    role: text,
    nats: { ...text, default: "" },
    "nats-monitor": { ...text, default: "" },
  },
})

/** Marks its start and its end as a program does that finds itself in its own folder. */
const mark = async (input: unknown, { epoch, signal, taskId }: Library.HandlerContext): Promise<string> => {
  const { marks, ms, word } = input as MarkInput
  appendFileSync(marks, `start berth-${taskId}-${epoch}/box\n`)
  try {
    await sleep(ms, undefined, { signal })
    return word
  } finally {
    appendFileSync(marks, `end berth-${taskId}-${epoch}/box\n`)
  }
}

const say = (level: string) => (fields: object, message: string) =>
  void process.stderr.write(`${JSON.stringify({ level, ...fields, message })}\n`)
const berth = await Berth.open({
  dataDir: values.data,
  nats: {
    servers: values.nats.split(","),
    monitors: values["nats-monitor"].split(","),
    replicas: Number(values.replicas),
  },
  roles: ["worker"],
  executor: "process",
  slots: Number(values.slots),
  listen: { port: Number(values.port) },
  handlers: { mark },
  logger: { debug: () => {}, info: say("info"), warn: say("warn"), error: say("error") },
})
process.once("SIGTERM", () => void berth.close().then(() => process.exit(0)))
const token = await berth.token({ role: "admin" })
process.stdout.write(`${JSON.stringify({ url: berth.url, token, pid: process.pid, dataDir: berth.dataDir })}\n`)
