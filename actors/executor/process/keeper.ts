/**
 * The shell program that starts, outlives and reports each program. It belongs to nobody: where the server is gone it still
 * enforces the time limit and writes down how the program ended, so a successor can adopt as if it had been there all along.
 *
 *   KP1. It leads a process group of its own; all of the program that did not leave that group is reached by one signal.
 *   KP2. It writes who it is before anything runs, and how the program ended after all of its output.
 *   KP3. SIGTERM to the group ends neither it nor its watcher: it stays to report.
 *   KP4. Its own messages go to a file, never to the program's stderr. The message that a shell writes when a signal ended the
 *        program is what tells `exit 137` from SIGKILL; none is written for SIGINT and SIGPIPE.
 *   KP5. At the end it kills its whole group, itself included: nothing that stayed in the group is left.
 *
 * Arguments: control directory, box directory, seconds until the time limit, seconds of grace, how many of the further
 * arguments are the compile command, that command, the program's command. Runs in dash, busybox and bash.
 */
import { type ChildProcess, spawn } from "node:child_process"
import type { TaskSpec } from "../../../core/task/spec.ts"
import type { BoxPaths } from "./box.ts"
import type { HostCommand } from "./command.ts"

/** The keeper's own limit is for when the server is gone; while that is here, its limit comes first. */
const KEEPER_SLACK_MS = 1_000

const TEXT = String.raw`berth_dir=$1 berth_box=$2 berth_limit=$3 berth_grace=$4 berth_words=$5
shift 5
trap : TERM INT HUP
exec 2>"$berth_dir/messages"
berth_stat=$$
[ -r "/proc/$$/stat" ] && IFS= read -r berth_stat <"/proc/$$/stat"
printf '%s\n' "$berth_stat" >"$berth_dir/keeper"
[ -d "$berth_box" ] || exit 125
ulimit -c 0
(
  trap '' TERM INT HUP
  exec >/dev/null </dev/null
  sleep "$berth_limit" || exit
  echo >"$berth_dir/overdue"
  kill -TERM 0
  sleep "$berth_grace" || exit
  kill -KILL 0
) &
: >"$berth_dir/messages"
berth_stage=run berth_status=0
if [ "$berth_words" -gt 0 ]; then
  berth_stage=compile
  (
    berth_drop=$(($# - berth_words))
    while [ "$berth_words" -gt 0 ]; do
      set -- "$@" "$1"
      shift
      berth_words=$((berth_words - 1))
    done
    shift "$berth_drop"
    exec "$@"
  ) </dev/null >>"$berth_dir/stderr" 2>>"$berth_dir/stderr"
  berth_status=$?
fi
if [ "$berth_status" = 0 ]; then
  berth_stage=run
  (
    shift "$berth_words"
    exec "$@"
  ) <"$berth_dir/stdin" >>"$berth_dir/stdout" 2>>"$berth_dir/stderr"
  berth_status=$?
fi
berth_how=exit
[ -s "$berth_dir/messages" ] && berth_how=signal
times >"$berth_dir/times"
echo "$berth_stage $berth_how $berth_status" >"$berth_dir/status"
kill -KILL 0
`

/** Starts a keeper in a session of its own (KP1); the caller listens for `spawn`, `error` and `exit`. */
export const spawnKeeper = (
  paths: BoxPaths,
  command: HostCommand,
  spec: Pick<TaskSpec, "timeoutMs" | "graceMs">,
): ChildProcess => {
  const limits = [spec.timeoutMs + KEEPER_SLACK_MS, spec.graceMs].map((ms) => (ms / 1_000).toFixed(3))
  const words = [
    paths.control,
    paths.box,
    ...limits,
    String(command.compile.length),
    ...command.compile,
    ...command.run,
  ]
  return spawn("/bin/sh", ["-c", TEXT, "berth", ...words], {
    cwd: paths.box,
    env: command.env,
    detached: true,
    stdio: "ignore",
  })
}

/** How the program ended, as the keeper wrote it. */
export interface KeeperReport {
  readonly stage: "compile" | "run"
  readonly signalled: boolean
  readonly status: number
  readonly cpuMs: number | null
}

const REPORT = /^(compile|run) (exit|signal) (\d{1,3})\n$/

/** @returns null for a report that is not there, or not whole */
export const parseReport = (status: string, times: string): KeeperReport | null => {
  const found = REPORT.exec(status)
  if (found === null) return null
  const code = Number(found[3])
  return {
    stage: found[1] === "compile" ? "compile" : "run",
    signalled: found[2] === "signal" || code === 130 || code === 141,
    status: code,
    cpuMs: parseTimes(times),
  }
}

/** User and system time of all children that were waited for: the second line of the shell's `times`. */
const parseTimes = (text: string): number | null => {
  const words = [...(text.split("\n")[1] ?? "").matchAll(/(\d+)m([\d.]+)s/g)]
  if (words.length < 2) return null
  return Math.round(
    words.reduce((sum, [, minutes, seconds]) => sum + Number(minutes) * 60_000 + Number(seconds) * 1_000, 0),
  )
}

/** Which process a keeper is. Its start, in ticks since boot, tells it from a later process of the same number. */
export interface KeeperIdentity {
  readonly pid: number
  /** Null where the system has no /proc. */
  readonly startTicks: number | null
}

/** @param stat - a line of /proc/<pid>/stat, or a bare process number */
export const parseIdentity = (stat: string): KeeperIdentity | null => {
  const pid = Number.parseInt(stat, 10)
  if (!stat.endsWith("\n") || !Number.isSafeInteger(pid) || pid < 2) return null
  // The command, in parentheses, may hold anything; what follows the last one are plain fields.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  const ticks = Number(fields[19])
  return { pid, startTicks: fields.length > 19 && Number.isSafeInteger(ticks) ? ticks : null }
}

/** `R`, `S`, `T`, `Z`, … of a line of /proc/<pid>/stat. */
export const parseProcessState = (stat: string): string => stat.charAt(stat.lastIndexOf(")") + 2)
