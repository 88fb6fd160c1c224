import type { Exit, StopMode } from "../../../core/ports/executor.ts"
import type { TaskSpec } from "../../../core/task/spec.ts"
import type { EndReason } from "../../../core/words.ts"
import { centisecondsOf } from "./jobScript.ts"
import { signalName } from "./signals.ts"

/**
 * How a container's end becomes an Exit. Pure.
 *
 *   XT1. What was asked for decides first (kill, cancel), then the time limit, then memory, then compilation, then the status.
 *   XT2. A process killed for memory makes the attempt fail also when the program itself exited 0: it did not do its work.
 *   XT3. A status above 128 is a signal only if the shell said so; it cannot say so for SIGINT and SIGPIPE.
 */

/** The bootstrap's report: `end <stage> <exit|signal> <status> <wall cs> <cpu µs> <peak bytes> <oom kills>`. */
export interface EndReport {
  readonly stage: "compile" | "run"
  readonly signalled: boolean
  readonly status: number
  readonly wallCs: number
  readonly cpuMs: number | null
  readonly memoryPeakBytes: number | null
  /** Null where the container cannot read its own counters; the engine's flag decides then. */
  readonly oomKills: number | null
}

/** @returns null for words that are no end */
export function parseEnd(words: readonly string[]): EndReport | null {
  const [word, stage, how, status, wall, cpu, peak, oom] = words
  if (word !== "end" || oom === undefined) return null
  const number = (text: string | undefined) => (text !== undefined && /^\d+$/.test(text) ? Number(text) : null)
  const code = number(status)
  return {
    stage: stage === "compile" ? "compile" : "run",
    signalled: code !== null && code > 128 && (how === "signal" || code === 130 || code === 141),
    status: code ?? 125,
    wallCs: number(wall) ?? 0,
    cpuMs: cpuMsOf(number(cpu)),
    memoryPeakBytes: number(peak),
    oomKills: number(oom),
  }
}

const cpuMsOf = (us: number | null): number | null => (us === null ? null : Math.round(us / 1_000))

/** A container that ended without a report: it had no bootstrap, or the bootstrap was killed with it. */
export interface BareEnd {
  readonly status: number
  readonly oomKilled: boolean
  readonly wallMs: number | null
}

const MEMORY_MESSAGE = "a process was killed because the memory limit was reached"

const VERDICTS = {
  kill: { status: "cancelled", reason: "killed" },
  cancel: { status: "cancelled", reason: "cancelled" },
  deadline: { status: "timeout", reason: "deadline" },
} as const satisfies Record<StopMode, { status: Exit["status"]; reason: EndReason }>

interface Facts {
  readonly status: number
  readonly signalled: boolean
  readonly oom: boolean
  readonly compiling: boolean
  readonly overdue: boolean
}

function verdictOf(facts: Facts, stop: StopMode | null): Pick<Exit, "status" | "reason" | "message"> {
  if (stop === "kill" || stop === "cancel") return { ...VERDICTS[stop], message: null }
  if (stop === "deadline" || facts.overdue)
    return { ...VERDICTS.deadline, message: facts.compiling ? "the time limit passed while it was compiled" : null }
  if (facts.oom) return { status: "failed", reason: "out_of_memory", message: MEMORY_MESSAGE }
  if (facts.compiling)
    return { status: "failed", reason: "compile_failed", message: "it did not compile; stderr says why" }
  if (facts.signalled) return { status: "failed", reason: "signal", message: null }
  if (facts.status === 0) return { status: "completed", reason: "exit_zero", message: null }
  return { status: "failed", reason: "exit_nonzero", message: commandMessage(facts.status) }
}

const commandMessage = (status: number): string | null =>
  status === 127 ? "the command was not found" : status === 126 ? "the command could not be executed" : null

const how = (facts: Facts): Pick<Exit, "exitCode" | "signal"> =>
  facts.signalled
    ? { exitCode: null, signal: signalName(facts.status - 128) }
    : { exitCode: facts.status, signal: null }

export function exitOf(end: EndReport, stop: StopMode | null, spec: Pick<TaskSpec, "timeoutMs">): Exit {
  const facts: Facts = {
    status: end.status,
    signalled: end.signalled,
    oom: (end.oomKills ?? 0) > 0,
    compiling: end.stage === "compile",
    overdue: end.wallCs >= centisecondsOf(spec.timeoutMs),
  }
  return {
    ...verdictOf(facts, stop),
    ...how(facts),
    wallMs: end.wallCs * 10,
    cpuMs: end.cpuMs,
    memoryPeakBytes: end.memoryPeakBytes,
    value: null,
  }
}

export function bareExitOf(end: BareEnd, stop: StopMode | null, spec: Pick<TaskSpec, "timeoutMs">): Exit {
  const facts: Facts = {
    status: end.status,
    signalled: end.status > 128,
    oom: end.oomKilled,
    compiling: false,
    overdue: end.wallMs !== null && end.wallMs >= spec.timeoutMs,
  }
  return {
    ...verdictOf(facts, stop),
    ...how(facts),
    wallMs: end.wallMs,
    cpuMs: null,
    memoryPeakBytes: null,
    value: null,
  }
}
