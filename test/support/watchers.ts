/** Several who watch the same tasks in different ways, and must see the same (I7). */
import { setTimeout as sleep } from "node:timers/promises"
import { expect } from "vitest"
import type { BerthClient, SubmitRequest, TaskEvent } from "../../gateway/client/index.ts"
import type { FoundEngine } from "../../gateway/provision/engine.ts"
import { openCuttingProxy } from "./cuttingProxy.ts"
import { removeContainersOf } from "./engineWitness.ts"
import { type Seeded, seeded } from "./seeded.ts"
import { clientOf, startServer } from "./serverProcess.ts"

export interface WatchPlan {
  readonly engine: FoundEngine
  readonly dataDir: string
  readonly random: Seeded
  readonly tasks: number
  /** Bytes on stdout; a third as many on stderr. */
  readonly bytes: number
  readonly pieceBytes: number
  readonly pauseMs: number
  /** How often the server is killed and started again while everybody watches. */
  readonly kills: number
  readonly note: (text: string) => void
}

/** After so many the wire holds, so that a slow machine gets to the end too. */
const CUTS_MAX = 15

const PRINT = `$| = 1;
my ($piece, $ms) = @ARGV;
open(my $out, '<:raw', 'out.bin'); open(my $err, '<:raw', 'err.bin');
binmode(STDOUT); binmode(STDERR);
for (;;) {
  my $o = sysread($out, my $a, $piece); my $e = sysread($err, my $b, int($piece / 3));
  last unless $o || $e;
  syswrite(STDOUT, $a) if $o; syswrite(STDERR, $b) if $e;
  select(undef, undef, undef, $ms / 1000);
}
`

interface Printed {
  readonly stdout: Buffer
  readonly stderr: Buffer
}

const randomBytes = (random: Seeded, bytes: number): Buffer =>
  Buffer.from(Array.from({ length: bytes }, () => random.whole(0, 255)))

const requestOf = ({ stderr, stdout }: Printed, plan: WatchPlan): SubmitRequest => ({
  runtime: "perl",
  entry: "main.pl",
  files: [
    { path: "main.pl", content: PRINT },
    { path: "out.bin", content: stdout.toString("base64"), encoding: "base64" },
    { path: "err.bin", content: stderr.toString("base64"), encoding: "base64" },
  ],
  args: [String(plan.pieceBytes), String(plan.pauseMs)],
  limits: { memoryBytes: 32 * 1024 * 1024, tmpfsBytes: 4 * 1024 * 1024 },
})

/** Watches in one go. */
async function steadily(client: BerthClient, id: string): Promise<readonly TaskEvent[]> {
  const events: TaskEvent[] = []
  for await (const event of client.watch(id)) events.push(event)
  return events
}

/**
 * Goes away now and then, and comes back with the highest sequence that was seen whole. One record may make several events
 * of the same sequence, so it is whole when the next one begins.
 */
async function brokenly(client: BerthClient, id: string, random: Seeded): Promise<readonly TaskEvent[]> {
  const events: TaskEvent[] = []
  for (;;) {
    const fromSeq = events.at(-1)?.seq ?? 0
    let seq = fromSeq
    let patience = random.whole(1, 6)
    for await (const event of client.watch(id, { fromSeq })) {
      if (event.seq !== seq && patience-- === 0) break
      seq = event.seq ?? seq
      events.push(event)
      if (event.type === "end") return events
    }
  }
}

const bytesOf = (events: readonly TaskEvent[], stream: "stdout" | "stderr"): Buffer =>
  Buffer.concat(events.flatMap((event) => (event.type === "output" && event.stream === stream ? [event.bytes] : [])))

/** Everything but the places where output was cut into events, which is nobody's promise. */
const toldBy = (events: readonly TaskEvent[]): readonly unknown[] => events.filter(({ type }) => type !== "output")

function check(events: readonly TaskEvent[], printed: Printed, who: string): void {
  let seq = 0
  const offsets = { stdout: 0, stderr: 0 }
  for (const event of events) {
    if (event.type === "gap") throw new Error(`${who} was told of a gap`)
    if (event.type === "state" && (event.seq ?? 0) <= seq) throw new Error(`${who} saw ${event.seq} after ${seq}`)
    if ((event.seq ?? seq) < seq) throw new Error(`${who} saw ${event.seq} after ${seq}`)
    seq = event.seq ?? seq
    if (event.type !== "output") continue
    if (event.offset !== offsets[event.stream]) throw new Error(`${who} has a hole or a repeat at ${event.offset}`)
    offsets[event.stream] += event.bytes.length
  }
  expect(bytesOf(events, "stdout").equals(printed.stdout), `${who}, stdout`).toBe(true)
  expect(bytesOf(events, "stderr").equals(printed.stderr), `${who}, stderr`).toBe(true)
}

/** Resolves with the number of cuts, when everybody has seen everything and the same. */
export async function watchersAgree(plan: WatchPlan): Promise<number> {
  const { dataDir, engine, note, random } = plan
  let server = await startServer({ dataDir, engine: engine.host })
  const port = Number(new URL(server.at.url).port)
  const proxy = await openCuttingProxy(server.at.url)
  const client = await clientOf(server.at)
  const cutClient = await clientOf({ ...server.at, url: proxy.url })
  const cluster = (await client.system()).clusterId
  let isOver = false
  let cuts = 0
  const cutAtRandom = async (): Promise<void> => {
    while (!isOver && cuts < CUTS_MAX) {
      await sleep(random.whole(100, 1_500))
      if (random.whole(0, 1) === 0) proxy.cut()
      else proxy.cutAfterBytes(random.whole(1, 60_000))
      cuts += 1
    }
  }
  try {
    const printed = Array.from({ length: plan.tasks }, () => ({
      stdout: randomBytes(random, plan.bytes),
      stderr: randomBytes(random, Math.floor(plan.bytes / 3)),
    }))
    const handles = await Promise.all(printed.map((each) => client.submit(requestOf(each, plan))))
    const ids = handles.map(({ id }) => id)
    const cutting = cutAtRandom()
    const watching = Promise.all(
      ids.map((id) =>
        Promise.all([
          steadily(client, id),
          steadily(cutClient, id),
          brokenly(client, id, seeded(random.whole(0, 1e9))),
        ]),
      ),
    )
    for (let kill = 0; kill < plan.kills; kill += 1) {
      await sleep(random.whole(1_000, 2_500))
      await server.end("SIGKILL")
      server = await startServer({ dataDir, port, engine: engine.host })
    }
    const live = await watching
    isOver = true
    await cutting
    for (const [index, id] of ids.entries()) {
      const late = await steadily(client, id)
      const each = printed[index] as Printed
      const [steady, cut, broken] = live[index] as readonly (readonly TaskEvent[])[]
      check(late, each, "the late one")
      for (const [who, events] of Object.entries({ steady, cut, broken })) {
        check(events as readonly TaskEvent[], each, who)
        expect(toldBy(events as readonly TaskEvent[]), who).toEqual(toldBy(late))
      }
    }
    note(`${cuts} cuts, ${proxy.connections()} connections`)
    return cuts
  } catch (error) {
    note(server.log().split("\n").slice(-40).join("\n"))
    throw error
  } finally {
    isOver = true
    await client.close()
    await cutClient.close()
    await proxy.close()
    await server.end("SIGTERM")
    await removeContainersOf(engine, cluster)
  }
}
