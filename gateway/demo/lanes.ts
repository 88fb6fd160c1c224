/**
 * Twenty tasks of four lanes, submitted in shuffled order while every slot is held; then the slots are freed. The order in
 * which they start is read from the log: the sequences of their `started` events.
 */
import { type Lane, LANES } from "../../core/words.ts"
import type { BerthClient, RunOutcome, TaskHandle } from "../client/publicTypes.ts"
import type { Screen } from "./screen.ts"
import type { Row } from "./summary.ts"
import { unless } from "./scenario.ts"

const TASKS_PER_LANE = 5
/** Coprime to the number of tasks, so that stepping by it visits each once, the lanes mixed and the same at every run. */
const STEP = 7

const shuffled = (): readonly Lane[] => {
  const sorted = LANES.flatMap((lane) => Array.from({ length: TASKS_PER_LANE }, () => lane))
  return sorted.map((_, at) => sorted[(at * STEP + 3) % sorted.length] ?? "normal")
}

/** Resolves when the program has printed its first line. */
async function running(handle: TaskHandle): Promise<void> {
  for await (const event of handle.events()) if (event.type === "output") return
}

async function hold(client: BerthClient): Promise<TaskHandle> {
  const handle = await client.submit({
    runtime: "bash",
    code: "echo holding a slot\nwhile :; do sleep 0.2; done\n",
    labels: { part: "holder" },
  })
  await running(handle)
  return handle
}

interface Started {
  readonly lane: Lane
  readonly seq: number
  readonly outcome: RunOutcome
}

async function start(client: BerthClient, lane: Lane, submitted: () => void): Promise<Started> {
  let seq = 0
  const outcome = await client.run(
    { runtime: "bash", code: `echo ${lane}\n`, lane, labels: { part: "lanes" } },
    {
      onSubmitted: submitted,
      onEvent: (event) => {
        if (event.type === "state" && event.facts.includes("started")) seq = event.seq
      },
    },
  )
  return { lane, seq, outcome }
}

/** @param slots - of the server, all of which are held */
export async function playLanes(client: BerthClient, screen: Screen, slots: number): Promise<readonly Row[]> {
  const holders = await Promise.all(Array.from({ length: slots }, () => hold(client)))
  screen.event("lanes", `${slots} programs hold the ${slots} slots`)
  const order = shuffled()
  const runs: Promise<Started>[] = []
  for (const lane of order) {
    await new Promise<void>((resolve) => runs.push(start(client, lane, resolve)))
  }
  screen.event("lanes", `submitted  ${order.join(" ")}`)
  const stats = await client.queue()
  screen.event(
    "lanes",
    `${stats.byStatus.pending} wait, ${stats.slotsHeld} of ${stats.slotsTotal} slots are held; now they are freed`,
  )
  await Promise.all(holders.map((holder) => holder.kill()))
  const all = (await Promise.all(runs)).sort((one, other) => one.seq - other.seq)
  const started = all.map(({ lane }) => lane)
  screen.event("lanes", `started    ${started.join(" ")}`)
  const ended = await Promise.all(holders.map((holder) => holder.result()))
  const killed = ended.filter(({ reason, status }) => status === "cancelled" && reason === "killed")
  return [
    {
      task: "holders",
      shows: `${slots} programs killed at once`,
      outcome: ended[0] ?? null,
      faults: unless(killed.length === slots, `${killed.length} of ${slots} ended as killed`),
    },
    {
      task: "lanes",
      shows: `${order.length} tasks of 4 lanes start in lane order`,
      outcome: all.at(-1)?.outcome ?? null,
      faults: [
        ...unless(started.join() === [...order].sort(byRank).join(), `they started as ${started.join(" ")}`),
        ...unless(stats.byStatus.pending === order.length, `${stats.byStatus.pending} waited, not ${order.length}`),
        ...unless(
          all.every(({ outcome }) => outcome.ok),
          "not all of them completed",
        ),
      ],
    },
  ]
}

const byRank = (one: Lane, other: Lane): number => LANES.indexOf(one) - LANES.indexOf(other)
