/** Programs that meet the walls of their container. Without one there is nothing to meet. */
import { type Scenario, unless } from "./scenario.ts"

const MIB = 1024 * 1024

export const memory: Scenario = {
  name: "memory",
  shows: "asks for more memory than it may",
  needsContainers: true,
  request: {
    runtime: "python",
    code: 'print("taking 200 MiB of 64", flush=True)\nblock = bytearray(200 * 1024 * 1024)\nprint(len(block))\n',
    limits: { memoryBytes: 64 * MIB },
  },
  expected: { status: "failed", reason: "out_of_memory", attempt: 1 },
}

const SANDBOX = "nobody's user id, no network, read-only system, no capabilities"

export const sandbox: Scenario = {
  name: "sandbox",
  shows: "the program looks for a way out",
  needsContainers: true,
  request: {
    runtime: "python",
    code: [
      "import os, socket",
      "def refused(action):",
      "    try: action()",
      "    except OSError: return True",
      "    return False",
      "def connect(): socket.create_connection(('192.0.2.1', 80), 1)",
      "bounds = [line.split()[1] for line in open('/proc/self/status') if line.startswith(('CapEff', 'CapBnd'))]",
      "facts = {",
      '    "nobody\'s user id": os.getuid() >= 100000,',
      "    'no network': refused(connect),",
      "    'read-only system': refused(lambda: open('/etc/berth', 'w')),",
      "    'no capabilities': all(int(bound, 16) == 0 for bound in bounds),",
      "}",
      "print(', '.join(name for name, holds in facts.items() if holds))",
    ].join("\n"),
  },
  expected: { status: "completed", reason: "exit_zero", exitCode: 0, attempt: 1 },
  faults: ({ outcome }) => [
    ...unless(outcome.stdout.trim() === SANDBOX, `it found only: ${outcome.stdout.trim()}`),
    ...unless(outcome.task.result?.policy?.["readonlyRoot"] === true, "the result does not say what was enforced"),
  ],
}
