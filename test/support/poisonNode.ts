/** A program with a server inside, one of whose handlers kills the whole process. It submits once, however often it is started. */
import { Berth } from "../../gateway/main/index.ts"

const [dataDir = ""] = process.argv.slice(2)
const die = (): never => {
  process.kill(process.pid, "SIGKILL")
  throw new Error("unreachable")
}
const berth = await Berth.open({
  dataDir,
  executor: "none",
  slots: 4,
  handlers: {
    poison: die,
    quick: () => "well",
  },
})
const submit = (handler: string) =>
  berth.submit({ handler, idempotencyKey: handler, maxAttempts: 5, retry: { delayMsInitial: 1, delayMsMax: 1 } })
const poison = await submit("poison")
const quick = await submit("quick")
for (const handle of [poison, quick]) {
  const { history, result, status, attempt } = (await handle.result()).task
  process.stdout.write(
    `${JSON.stringify({ handler: handle === poison ? "poison" : "quick", status, attempt, result, history })}\n`,
  )
}
await berth.close()
