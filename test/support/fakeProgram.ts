/** Moves a task of the fake TaskService through a life, as a worker would. */
import type { TaskView } from "../../actors/api.ts"
import { type AttemptResult, NO_OUTPUT } from "../../core/task/result.ts"
import type { OutputStream } from "../../core/words.ts"
import type { FakeTasks } from "./fakeTasks.ts"

export interface FakeProgram {
  readonly id: string
  readonly task: () => TaskView
  readonly start: () => void
  readonly print: (stream: OutputStream, text: string, more?: { readonly live?: boolean }) => void
  /** These bytes of a stream were not kept. */
  readonly skip: (stream: OutputStream, bytes: number) => void
  readonly progress: (data: unknown) => void
  readonly end: (more?: Partial<AttemptResult>) => void
}

const encoder = new TextEncoder()

export const attemptResult = (more: Partial<AttemptResult> = {}): AttemptResult => ({
  status: "completed",
  reason: "exit_zero",
  message: null,
  exitCode: 0,
  signal: null,
  attempt: 1,
  epoch: 1,
  startedAtMs: 1_750_000_000_000,
  endedAtMs: 1_750_000_001_000,
  wallMs: 1_000,
  cpuMs: 500,
  memoryPeakBytes: 8 * 1024 * 1024,
  stdout: NO_OUTPUT,
  stderr: NO_OUTPUT,
  artifacts: [],
  artifactsMissing: null,
  value: null,
  imageDigest: null,
  policy: null,
  overlapPossible: false,
  ...more,
})

/** @param first - the task as it was submitted */
export function fakeProgram(tasks: FakeTasks, first: TaskView): FakeProgram {
  const { id } = first
  let task = first
  const offsets: Record<OutputStream, number> = { stdout: 0, stderr: 0 }
  const move = (facts: readonly string[], change: Partial<TaskView>): void => {
    task = { ...task, ...change }
    tasks.emit(id, { type: "state", facts, task })
  }
  const place = () => ({ attempt: task.attempt, epoch: task.epoch })
  return {
    id,
    task: () => task,
    start: () => {
      offsets.stdout = offsets.stderr = 0
      move(["started"], { status: "running", phase: "running", epoch: task.epoch + 1, worker: "w1" })
    },
    print: (stream, text, more = {}) => {
      const bytes = encoder.encode(text)
      tasks.emit(id, { type: "output", ...place(), stream, offset: offsets[stream], bytes, ...more })
      offsets[stream] += bytes.length
    },
    skip: (stream, bytes) => {
      tasks.emit(id, { type: "gap", ...place(), stream, offset: offsets[stream], bytes })
      offsets[stream] += bytes
    },
    progress: (data) => tasks.emit(id, { type: "progress", ...place(), data, atMs: 1_750_000_000_000 }),
    end: (more = {}) => {
      const result = attemptResult({ ...place(), ...more })
      move(["ended"], { status: result.status, phase: "ended", result, endedAtMs: result.endedAtMs })
      tasks.emit(id, { type: "end", status: result.status })
    },
  }
}
