/** `berth doctor`: everything that it looks at, a line each; it ends by attacking the sandbox itself. */
import { Effect } from "effect"
import { engineFactsOf, pingEngine } from "../../actors/executor/docker/ping.ts"
import type { BerthError } from "../../core/errors.ts"
import type { DoctorLine } from "../cli/index.ts"
import { dataDirLines, engineRoomLines } from "./doctorDisk.ts"
import { clockLine, engineLines, floorLine, isAtLeast } from "./doctorFloors.ts"
import { selfAttack, type SelfAttackOptions } from "./selfAttack.ts"
import { VERSION } from "./version.ts"

const NODE_FLOOR = "20.19.0"

const unreachable = (engine: string, error: BerthError): readonly DoctorLine[] => [
  {
    kind: "floor",
    name: "engine",
    verdict: "fail",
    detail: `${engine}: ${error.message}`,
    hint: "Start Docker, or name its socket in DOCKER_HOST.",
  },
]

async function enginePart(options: SelfAttackOptions): Promise<readonly DoctorLine[]> {
  const askedMs = Date.now()
  const facts = await Effect.runPromise(
    Effect.result(Effect.andThen(pingEngine(options.engine), engineFactsOf(options.engine))),
  )
  if (facts._tag === "Failure") return unreachable(options.engine, facts.failure)
  const { rootDir, systemTimeMs } = facts.success
  // The engine looked at its clock somewhere between our question and its answer.
  const nearestMs = Math.min(Math.max(systemTimeMs, askedMs), Date.now())
  return [
    { kind: "floor", name: "engine", verdict: "ok", detail: options.engine },
    ...engineLines(facts.success),
    clockLine(systemTimeMs - nearestMs),
    ...(await engineRoomLines(rootDir)),
    ...(await selfAttack(options)),
  ]
}

/** @param options - the engine, and what tests change of the attack */
export async function diagnose(dataDir: string, options: SelfAttackOptions): Promise<readonly DoctorLine[]> {
  const node = process.versions.node
  const tooOld = { ok: node, below: `${node} is older than ${NODE_FLOOR}`, hint: "Upgrade Node." }
  return [
    { kind: "floor", name: "berth", verdict: "ok", detail: VERSION },
    floorLine("node", isAtLeast(node, NODE_FLOOR), tooOld),
    ...(await dataDirLines(dataDir)),
    ...(await enginePart(options)),
  ]
}
