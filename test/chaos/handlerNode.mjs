/**
 * A program with a worker inside, which has a handler and runs programs as processes. It takes the flags of `berth serve` and
 * prints the same line, so that it is started and killed as the shipped server is. No TypeScript: what transpiles at each start
 * would make every kill a long one.
 */
import { appendFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"

const { Berth } = await import(join(import.meta.dirname, "../../dist/gateway/main/index.js"))

const text = { type: "string" }
const { values } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: "boolean" },
    data: text,
    port: text,
    slots: text,
    replicas: text,
    executor: text,
    role: text,
    nats: text,
    "nats-monitor": text,
  },
})

/** Marks its start and its end as a program does that finds itself in its own folder. */
const mark = async ({ marks, ms, word }, { epoch, signal, taskId }) => {
  appendFileSync(marks, `start berth-${taskId}-${epoch}/box\n`)
  try {
    await sleep(ms, undefined, { signal })
    return word
  } finally {
    appendFileSync(marks, `end berth-${taskId}-${epoch}/box\n`)
  }
}

const say = (level) => (fields, message) => {
  process.stderr.write(`${JSON.stringify({ level, ...fields, message })}\n`)
}
const berth = await Berth.open({
  dataDir: values.data,
  nats: {
    servers: values.nats.split(","),
    monitors: values["nats-monitor"].split(","),
    ...(values.replicas === undefined ? {} : { replicas: Number(values.replicas) }),
  },
  roles: ["worker"],
  executor: "process",
  slots: Number(values.slots),
  listen: { port: Number(values.port) },
  handlers: { mark },
  logger: { debug: () => {}, info: say("info"), warn: say("warn"), error: say("error") },
})
process.once("SIGTERM", () => {
  void berth.close().then(() => process.exit(0))
})
const token = await berth.token({ role: "admin" })
process.stdout.write(`${JSON.stringify({ url: berth.url, token, pid: process.pid, dataDir: berth.dataDir })}\n`)
