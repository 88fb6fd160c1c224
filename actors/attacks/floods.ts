import { type Attack, endOf, finding, type Seen } from "./attack.ts"

/** Programs that take more than they were given: processes, memory, files, time, CPU. */

const MIB = 1024 * 1024
const PIDS_MAX = 48
const MEMORY_BYTES = 64 * MIB
const TMPFS_BYTES = 8 * MIB
/** What the supervisor inside takes beside the program. */
const OWN_PIDS = 4
/** Generous: a busy machine must not look like a broken one. */
const OVERDUE_MS_MAX = 10_000

const limits = { memoryBytes: MEMORY_BYTES, pidsMax: PIDS_MAX, tmpfsBytes: TMPFS_BYTES, cpuMilli: 1_000 }

const inTime = (seen: Seen, limitMs: number): boolean => seen.wallMs !== null && seen.wallMs <= limitMs + OVERDUE_MS_MAX

/** Ends at its deadline, whatever it does. */
const endless = (name: string, request: Attack["request"], ends: readonly Seen["status"][] = ["timeout"]): Attack => {
  const timeoutMs = 800
  const graceMs = 200
  return {
    name,
    request: { limits, ...request, timeoutMs, graceMs },
    judge: (seen) => [
      finding(
        name,
        ends.includes(seen.status) &&
          (seen.status !== "timeout" || seen.wallMs === null || inTime(seen, timeoutMs + graceMs)),
        `${endOf(seen)} after ${seen.wallMs} ms`,
      ),
    ],
  }
}

/** Ends by the memory limit, and says so. */
const starving = (name: string, code: string): Attack => ({
  name,
  request: { runtime: "python", code, limits, timeoutMs: 20_000 },
  judge: (seen) => [finding(name, seen.status === "failed" && seen.reason === "out_of_memory", endOf(seen))],
})

/** Prints how much of something it got, which must be within a bound. */
const counting = (name: string, code: string, most: number, unit: string): Attack => ({
  name,
  request: { runtime: "python", code, limits, timeoutMs: 20_000 },
  judge: (seen) => {
    const got = /^\d+$/.test(seen.stdout.trim()) ? Number(seen.stdout) : null
    return [finding(name, got !== null && got <= most, got === null ? endOf(seen) : `${got} ${unit}, not ${most}`)]
  },
})

const THREADS = `
import threading, time
got = 0
try:
    while got < 5000:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        got += 1
except (RuntimeError, MemoryError): pass
print(got, flush=True)
import os; os._exit(0)
`
const TMPFS = `
import errno
got = 0
for place in ("/box/big", "/tmp/big"):
    with open(place, "wb", buffering=0) as f:
        try:
            while got < 1 << 30: got += f.write(bytes(65536))
        except OSError as problem:
            if problem.errno not in (errno.ENOSPC, errno.EFBIG): raise
print(got)
`
const INODES = `
import os
got = 0
try:
    while got < 200000:
        os.close(os.open(f"/tmp/{got}", os.O_CREAT | os.O_WRONLY)); got += 1
except OSError: pass
print(got)
`
const SPARSE = `
import os
got = 0
for size in (1 << 40, 1 << 34):
    fd = os.open("/box/sparse", os.O_CREAT | os.O_WRONLY)
    try:
        os.ftruncate(fd, size); got += 1
    except OSError: pass
print(got)
`
const MEMFD = `
import os
fds = []
while True:
    fd = os.memfd_create("x"); fds.append(fd)
    for _ in range(16): os.write(fd, bytes(1 << 20))
`
/** In pieces, because some kernels refuse a claim beyond all memory before anybody is killed for it. */
const GREEDY = 'blocks = [b"x" * (16 << 20) for _ in range(640)]\nprint(len(blocks))'
const CHILD = `
import os
if os.fork() == 0:
    blocks = [b"x" * (16 << 20) for _ in range(640)]
    os._exit(0)
os.wait()
print("went on")
`
const DAEMON = `
import os, signal, time
for number in (1, 2, 3, 15): signal.signal(number, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 256)
        while True: time.sleep(1)
    os._exit(0)
while True: time.sleep(1)
`
const BUSY = `
import os
for _ in range(8):
    if os.fork() == 0:
        while True: pass
while True: pass
`
/** More than its share of one core: what the kernel gives in one period, and what is measured late. */
const CPU_SHARE_MAX = 1.4

const busy: Attack = {
  name: "all cores",
  request: { runtime: "python", code: BUSY, limits, timeoutMs: 1_500, graceMs: 0 },
  judge: (seen) => {
    const share = (seen.cpuMs ?? 0) / Math.max(1, seen.wallMs ?? 1)
    const isWithin = seen.status === "timeout" && share <= CPU_SHARE_MAX
    return [finding("all cores", isWithin, `${endOf(seen)}, ${share.toFixed(2)} cores`)]
  },
}

export const FLOODS: readonly Attack[] = [
  endless("fork bomb", { runtime: "bash", code: "f() { f | f & }; f; while :; do f; done 2>/dev/null" }, [
    "timeout",
    "failed",
  ]),
  counting("thread bomb", THREADS, PIDS_MAX - OWN_PIDS + 1, "threads"),
  starving("10 GB of memory", GREEDY),
  starving("10 GB in a child, while the parent exits 0", CHILD),
  starving("memory in files without names", MEMFD),
  counting("more than /box and /tmp hold", TMPFS, 2 * TMPFS_BYTES, "bytes"),
  counting("files without number", INODES, 16_384, "files"),
  counting("a file of a terabyte", SPARSE, 0, "such files"),
  endless("a daemon that heeds no signal", { runtime: "python", code: DAEMON }),
  busy,
]
