/** The demo's programs, each with what it shows and how it must end. */
import { createHash } from "node:crypto"
import { memory, sandbox } from "./confined.ts"
import { type Scenario, unless } from "./scenario.ts"

const STREAMED_LINES = 5

export const LIVE: Scenario = {
  name: "stream",
  shows: "success, output live",
  request: {
    runtime: "python",
    code: [
      "import time",
      `for line in range(${STREAMED_LINES}):`,
      '    print(f"line {line}", flush=True)',
      "    time.sleep(0.35)",
    ].join("\n"),
  },
  expected: { status: "completed", reason: "exit_zero", exitCode: 0, attempt: 1 },
  faults: ({ outcome, outputEvents }) => [
    ...unless(
      outcome.stdout === "line 0\nline 1\nline 2\nline 3\nline 4\n",
      `printed ${JSON.stringify(outcome.stdout)}`,
    ),
    ...unless(outputEvents >= STREAMED_LINES - 1, `its lines came in ${outputEvents} events, not as they were printed`),
  ],
}

const retry: Scenario = {
  name: "retry",
  shows: "failure, retried with backoff until dead",
  request: {
    runtime: "bash",
    code: "echo trying >&2\nexit 3\n",
    maxAttempts: 3,
    retry: { delayMsInitial: 400, factor: 2 },
  },
  expected: { status: "failed", reason: "exit_nonzero", exitCode: 3, attempt: 3 },
  faults: async ({ client, outcome }) => {
    const dead: string[] = []
    for await (const task of client.dlq.list()) dead.push(task.id)
    return [
      ...unless(dead.includes(outcome.id), "it is not among the dead letters"),
      ...unless(
        outcome.task.history.length === 2,
        `its history has ${outcome.task.history.length} earlier attempts, not 2`,
      ),
    ]
  },
}

const graceful: Scenario = {
  name: "deadline",
  shows: "time limit, stops at SIGTERM",
  request: {
    runtime: "python",
    code: [
      "import signal, sys, time",
      "def clean(*_):",
      '    print("SIGTERM: cleaning up", flush=True)',
      "    sys.exit(0)",
      "signal.signal(signal.SIGTERM, clean)",
      'print("working without end", flush=True)',
      "while True: time.sleep(0.05)",
    ].join("\n"),
    timeoutMs: 2_500,
    graceMs: 3_000,
  },
  expected: { status: "timeout", reason: "deadline", exitCode: 0, attempt: 1 },
  faults: ({ outcome }) => unless(outcome.stdout.includes("cleaning up"), "it was given no time to clean up"),
}

const forced: Scenario = {
  name: "stubborn",
  shows: "time limit, ignores SIGTERM, killed",
  request: {
    runtime: "perl",
    code: '$| = 1;\n$SIG{TERM} = sub { print "SIGTERM: I stay\\n" };\nprint "working without end\\n";\nsleep 1 while 1;\n',
    timeoutMs: 2_500,
    graceMs: 800,
  },
  expected: { status: "timeout", reason: "deadline", signal: "SIGKILL", attempt: 1 },
  faults: ({ outcome }) => unless(outcome.stdout.includes("I stay"), "it was killed without SIGTERM first"),
}

const cancel: Scenario = {
  name: "cancel",
  shows: "cancelled while it runs",
  request: {
    runtime: "node",
    code: [
      'process.on("SIGTERM", () => { console.log("stopping"); process.exit(0) })',
      'console.log("running")',
      "setInterval(() => {}, 1000)",
    ].join("\n"),
    timeoutMs: 60_000,
  },
  expected: { status: "cancelled", reason: "cancelled", exitCode: 0, attempt: 1 },
  act: (handle) => handle.cancel(),
  faults: ({ outcome }) =>
    unless(outcome.stdout === "running\nstopping\n", `printed ${JSON.stringify(outcome.stdout)}`),
}

const REPORT = "name,squares\na,1\nb,4\nc,9\n"

const artifact: Scenario = {
  name: "artifact",
  shows: "several files, stdin, an artifact",
  request: {
    runtime: "python",
    entry: "main.py",
    files: [
      {
        path: "main.py",
        content: [
          "import os, sys, squares",
          'os.makedirs("out", exist_ok=True)',
          'with open("out/report.csv", "w") as report: report.write(squares.table(sys.stdin.read().split()))',
        ].join("\n"),
      },
      {
        path: "squares.py",
        content: [
          "def table(names):",
          '    rows = [f"{name},{(at + 1) ** 2}" for at, name in enumerate(names)]',
          '    return "\\n".join(["name,squares", *rows, ""])',
        ].join("\n"),
      },
    ],
    stdin: "a b c",
    artifacts: true,
  },
  expected: { status: "completed", reason: "exit_zero", exitCode: 0, attempt: 1 },
  faults: async ({ client, outcome }) => {
    const [found] = outcome.artifacts
    if (found?.path !== "report.csv") return [`its artifacts are ${JSON.stringify(outcome.artifacts)}`]
    const bytes = await client.artifact(outcome.id, found.path)
    const sha256 = createHash("sha256").update(bytes).digest("hex")
    return [
      ...unless(Buffer.from(bytes).toString() === REPORT, "what was downloaded is not what the program wrote"),
      ...unless(sha256 === found.sha256, "its checksum does not match the record's"),
    ]
  },
}

export const ENDINGS: readonly Scenario[] = [retry, graceful, forced, cancel, artifact, memory, sandbox]
