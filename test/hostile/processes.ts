import { expect } from "vitest"
import { FLOODS } from "../../actors/attacks/floods.ts"
import { wallsAttack } from "../../actors/attacks/walls.ts"
import { attackRow, bash, COMPLETED, OUT_OF_MEMORY, python, type Row, TIMED_OUT } from "./row.ts"

/** Programs that take too much, do not end, or try the walls. */

const FLOOD_ENDS: Readonly<Record<string, Row["ends"]>> = {
  "fork bomb": {},
  "10 GB of memory": { ...OUT_OF_MEMORY, signal: "SIGKILL" },
  "10 GB in a child, while the parent exits 0": { ...OUT_OF_MEMORY, exitCode: 0 },
  "memory in files without names": OUT_OF_MEMORY,
  "a daemon that heeds no signal": { ...TIMED_OUT, signal: "SIGKILL" },
  "all cores": TIMED_OUT,
}

const ZOMBIES = `
import os, time
for _ in range(30):
    if os.fork() == 0: os._exit(0)
time.sleep(0.3)
states = [open(f"/proc/{p}/stat").read().rsplit(")", 1)[1].split()[0] for p in os.listdir("/proc") if p.isdigit()]
print(states.count("Z"))
`
const ORPHANS = `
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 256)
        time.sleep(600)
    os._exit(0)
print("done")
`
const CLOSED = `
import os, time
os.closerange(0, 256)
time.sleep(600)
`
/** Finds every process that there is, and prints all that can be read of it. */
const SPIES = `
import os
for pid in sorted(p for p in os.listdir("/proc") if p.isdigit()):
    for what in ("environ", "cmdline", "maps", "root/box/canary", "root/tmp/canary", "cwd/canary"):
        try: print(pid, what, open(f"/proc/{pid}/{what}", "rb").read(20000))
        except OSError as problem: print(pid, what, problem.errno)
print(open("/proc/net/unix").read(), open("/proc/self/cgroup").read(), open("/proc/mounts").read())
print([os.path.join(folder, name) for place in ("/tmp", "/dev", "/run", "/var/tmp", "/mnt", "/media") for folder, _, names in os.walk(place) for name in names])
`
const KILLERS = `
import os
print("here", flush=True)
for number in (15, 9):
    for pid in range(1, 4000):
        if pid in (1, os.getpid()): continue
        try: os.kill(pid, number)
        except OSError: pass
os.kill(-1, 9)
`

/** Every address of this host, the engine's socket, the broker's usual port and the cloud's metadata. */
const CONNECTS = `
import socket, sys
reached = []
for text in sys.argv[1:] + ["169.254.169.254:80", "127.0.0.1:4222", "172.17.0.1:4222", "172.17.0.1:2375"]:
    host, port = text.rsplit(":", 1)
    s = socket.socket(); s.settimeout(1)
    try: s.connect((host, int(port))); reached.append(text)
    except OSError: pass
for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "\\0berth-uids-0"):
    s = socket.socket(socket.AF_UNIX)
    try: s.connect(path); reached.append(path)
    except OSError: pass
try: reached.append(socket.gethostbyname("localhost.localdomain.example"))
except OSError: pass
print(reached)
`

export const PROCESSES: readonly Row[] = [
  {
    name: "every wall: tracing, namespaces, mounts, keys, io_uring, sockets, root, files of the system, devices …",
    request: (scene) => wallsAttack(scene.canaryPaths).request,
    ends: COMPLETED,
    holds: (seen) => {
      const { result } = seen.task
      if (result === null) throw new Error("there is no result")
      const findings = wallsAttack([]).judge({ ...result, stdout: seen.stdout })
      expect(findings.filter(({ broke }) => broke !== null)).toEqual([])
    },
  },
  ...FLOODS.map((attack) => attackRow(attack, FLOOD_ENDS[attack.name] ?? COMPLETED)),
  {
    name: "zombies",
    request: python(ZOMBIES),
    ends: COMPLETED,
    holds: ({ stdout }) => expect(Number(stdout)).toBeGreaterThanOrEqual(30),
  },
  {
    name: "a daemon that closed its files, while the parent exits 0",
    request: python(ORPHANS, { artifacts: true }),
    ends: COMPLETED,
    holds: ({ stdout }) => expect(stdout).toBe("done\n"),
  },
  { name: "sleeps with all files closed", request: python(CLOSED, { timeoutMs: 800, graceMs: 100 }), ends: TIMED_OUT },
  {
    name: "heeds no signal that can be ignored, nor do its children",
    request: bash("trap '' TERM INT HUP\n(trap '' TERM; while :; do :; done) &\nwhile :; do :; done", {
      timeoutMs: 800,
      graceMs: 200,
    }),
    ends: { ...TIMED_OUT, signal: "SIGKILL" },
  },
  {
    name: "reads the worker's environment, its neighbours' files and everybody's memory",
    request: python(SPIES),
    ends: COMPLETED,
    holds: ({ stdout }) => {
      expect(stdout).toContain("environ")
      expect(stdout).not.toContain("berth-uids")
    },
  },
  {
    name: "sends signals to every process number, then kills all",
    request: python(KILLERS),
    ends: { status: "failed", reason: "signal", signal: "SIGKILL" },
    holds: ({ stdout }) => expect(stdout).toBe("here\n"),
  },
  {
    name: "connects to the gateway, the broker, the engine and 169.254.169.254",
    request: (scene) => ({ runtime: "python", code: CONNECTS, args: scene.doors, timeoutMs: 60_000 }),
    ends: COMPLETED,
    holds: ({ stdout }, scene) => {
      expect(scene.doors.length).toBeGreaterThan(0)
      expect(stdout).toBe("[]\n")
    },
  },
]
