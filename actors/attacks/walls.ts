import { type Attack, endOf, type Finding, type Seen } from "./attack.ts"

/**
 * One program that tries every wall of the sandbox, each in a process of its own, and prints what got through.
 *
 *   WA1. A system call is refused when it answers EPERM or ENOSYS, or ends the process; any other answer means that it
 *        reached the kernel.
 *   WA2. A wall of which the program says nothing counts as broken: it must not be able to pass by breaking the report.
 */

const PRELUDE = String.raw`
import ctypes, errno, json, os, platform, resource, socket, stat, sys
libc = ctypes.CDLL(None, use_errno=True)
arm = platform.machine() == "aarch64"
REFUSED = (errno.EPERM, errno.ENOSYS)
CANARIES = sys.argv[1:]
def call(x86, a64, *args):
    number = a64 if arm else x86
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in args])
    return result >= 0 or ctypes.get_errno() not in REFUSED
def calls(**tried):
    return [name for name, answered in tried.items() if answered]
def cloned(flags):
    result = libc.syscall(ctypes.c_long(220 if arm else 56), ctypes.c_long(flags | 17), *[ctypes.c_long(0)] * 4)
    if result == 0: os._exit(0)
    return result > 0
def done(action):
    try: action()
    except OSError: return False
    return True
def opened(family, kind=socket.SOCK_STREAM, protocol=0):
    return done(lambda: socket.socket(family, kind, protocol).close())
def reached(address):
    def connect():
        with socket.socket(socket.AF_INET) as s:
            s.settimeout(1)
            s.connect(address)
    return done(connect)
def writable(path):
    return done(lambda: os.close(os.open(path, os.O_WRONLY)))
def made(folder):
    path = folder.rstrip("/") + "/berth-was-here"
    if not done(lambda: os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))): return False
    os.unlink(path)
    return True
def put(path, text):
    def write():
        with open(path, "w") as f: f.write(text)
    return done(write)
def some(path):
    try:
        with open(path, "rb") as f: return len(f.read(64)) > 0
    except OSError: return False
def status():
    with open("/proc/self/status") as f: return dict(line.split(":\t", 1) for line in f.read().splitlines() if ":\t" in line)
def mounts():
    with open("/proc/self/mountinfo") as f: return [(line.split()[4], line.split()[5].split(",")) for line in f]
def pids():
    return [pid for pid in os.listdir("/proc") if pid.isdigit()]
def at_most(name, most):
    return [] if resource.getrlimit(name)[1] in range(0, most + 1) else [str(resource.getrlimit(name)[1])]
WALLS = {}
def wall(name):
    def keep(action): WALLS[name] = action
    return keep
`

const EPILOGUE = String.raw`
def attempt(action):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try: through = [str(what) for what in action()]
        except BaseException as problem: through = ["it broke: " + repr(problem)]
        os.write(writer, json.dumps(through).encode()[:4000])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer: text = answer.read()
    _, end = os.waitpid(child, 0)
    if os.WIFSIGNALED(end): return []
    return json.loads(text or b'["it said nothing"]')
print(json.dumps({name: attempt(action) for name, action in WALLS.items()}))
`

/** Name and the body of a function that returns what got through. System call numbers are of x86_64 and of aarch64. */
const WALLS: Readonly<Record<string, string>> = {
  tracing: `return calls(ptrace=call(101, 117, 0, 0, 0, 0), process_vm_readv=call(310, 270, os.getppid(), 0, 0, 0, 0, 0),
    process_vm_writev=call(311, 271, os.getppid(), 0, 0, 0, 0, 0), perf_event_open=call(298, 241, 0, 0, -1, -1, 0),
    pidfd_getfd=call(438, 438, -1, 0, 0), kcmp=call(312, 272, os.getpid(), os.getpid(), 0, 0, 0))`,
  namespaces: `return calls(unshare=call(272, 97, 0x10000000), unshare_mount=call(272, 97, 0x00020000), setns=call(308, 268, -1, 0),
    clone3=call(435, 435, 0, 0), clone_user=cloned(0x10000000), clone_mount=cloned(0x00020000))`,
  mounts: `return calls(mount=call(165, 40, b"a", b"/tmp", b"tmpfs", 0, 0), umount=call(166, 39, b"/tmp", 2), pivot_root=call(155, 41, b"/tmp", b"/tmp"),
    chroot=call(161, 51, b"/tmp"), fsopen=call(430, 430, b"tmpfs", 0), open_tree=call(428, 428, -1, b"", 0),
    move_mount=call(429, 429, -1, b"", -1, b"", 0), mount_setattr=call(442, 442, -1, b"", 0, 0, 0))`,
  keys: `return calls(add_key=call(248, 217, 0, 0, 0, 0, 0), request_key=call(249, 218, 0, 0, 0, 0), keyctl=call(250, 219, 0, 0, 0, 0, 0))`,
  "kernel code": `return calls(bpf=call(321, 280, 0, 0, 0), init_module=call(175, 105, 0, 0, 0), finit_module=call(313, 273, -1, 0, 0),
    delete_module=call(176, 106, 0, 0), kexec_load=call(246, 104, 0, 0, 0, 0))`,
  io_uring: `return calls(io_uring_setup=call(425, 425, 1, 0), io_uring_enter=call(426, 426, -1, 0, 0, 0, 0, 0),
    io_uring_register=call(427, 427, -1, 0, 0, 0))`,
  "memory tricks": `return calls(userfaultfd=call(323, 282, -1), personality=call(135, 92, 0x0040000))`,
  machine: `return calls(reboot=call(169, 142, 0, 0, 0, 0), swapon=call(167, 224, 0, 0), settimeofday=call(164, 170, 1, 1),
    clock_settime=call(227, 112, -1, 0), sethostname=call(170, 161, 0, -1), syslog=call(103, 116, 3, 0, 0), acct=call(163, 89, b"/"),
    quotactl=call(179, 60, 0, 0, 0, 0))`,
  "file handles": `return calls(name_to_handle_at=call(303, 264, -1, b"", 0, 0, 0), open_by_handle_at=call(304, 265, -1, 0, 0))`,
  "foreign calls": `return [] if arm else calls(x32=libc.syscall(ctypes.c_long(0x40000000 + 39)) > 0)`,
  sockets: `return calls(vsock=opened(40), alg=opened(38, socket.SOCK_SEQPACKET), packet=opened(17, socket.SOCK_RAW),
    netlink=opened(16, socket.SOCK_RAW), raw=opened(socket.AF_INET, socket.SOCK_RAW, 1))`,
  capabilities: `return [name for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb") if int(status()[name], 16) != 0]`,
  privileges: `return [name for name, right in (("NoNewPrivs", "1"), ("Seccomp", "2")) if status().get(name) != right]`,
  "becoming root": `
    ids = [name for name, act in (("setuid", lambda: os.setuid(0)), ("setgid", lambda: os.setgid(0)), ("setgroups", lambda: os.setgroups([0]))) if done(act)]
    return ids + [f"user {i}" for i in (os.getuid(), os.getgid(), *os.getgroups()) if i < 100000]`,
  "root file system": `
    places = [p for p in ("/", "/var/tmp", "/run", "/run/lock", "/var/log", "/usr", "/root", "/home", "/opt", "/srv") if os.path.isdir(p)]
    return [f"{p} can be written to" for p in places if made(p)] + ([] if os.statvfs("/").f_flag & os.ST_RDONLY else ["/ is not read-only"])`,
  "system files": `return ([p for p in ("/etc/passwd", "/etc/hosts", "/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches", "/proc/sysrq-trigger",
    "/sys/kernel/uevent_helper", "/sys/fs/cgroup/release_agent", "/sys/fs/cgroup/memory/release_agent",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/cgroup.procs") if writable(p)]
      + [p for p in ("/etc", "/dev", "/sys/fs/cgroup", "/sys/fs/cgroup/memory") if made(p)])`,
  devices: `
    nodes = [p for p in ("/dev/mem", "/dev/kmem", "/dev/kmsg", "/dev/port", "/dev/sda", "/dev/vda", "/dev/nvme0n1", "/dev/fuse", "/dev/kvm", "/dev/net/tun") if done(lambda p=p: os.close(os.open(p, os.O_RDONLY)))]
    made_ones = [kind for kind, mode in (("block", stat.S_IFBLK), ("character", stat.S_IFCHR)) if done(lambda m=mode: os.mknod(f"/box/node-{m}", m | 0o600, os.makedev(8 if m == stat.S_IFBLK else 1, 0 if m == stat.S_IFBLK else 1)))]
    return nodes + [f"made a {kind} device" for kind in made_ones]`,
  "masked files": `return ([p for p in ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/proc/interrupts", "/proc/latency_stats") if some(p)]
      + [p for p in ("/proc/acpi", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap") if os.path.isdir(p) and os.listdir(p)])`,
  "writable places": `
    found = sorted({place for place, options in mounts() if "rw" in options and os.path.isdir(place) and made(place)} - {"/box", "/tmp"})
    loose = [place for place, options in mounts() if place in ("/box", "/tmp") and not {"nosuid", "nodev"} <= set(options)]
    return found + [f"{place} lacks nosuid or nodev" for place in loose] + [p for p in ("/dev/shm", "/dev/mqueue") if os.path.isdir(p) and made(p)]`,
  "other processes": `
    own = {os.getpid(), os.getppid(), 1}
    foreign = [pid for pid in pids() if int(pid) not in own and done(lambda: os.stat(f"/proc/{pid}")) and os.stat(f"/proc/{pid}").st_uid not in (os.getuid(), 0)]
    return [f"process {pid}" for pid in foreign] + ([f"{len(pids())} processes"] if len(pids()) > 12 else [])`,
  "the host's files": `return [p for p in (*CANARIES, "/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/proc/1/root/var/lib/docker") if os.path.exists(p)]`,
  network: `
    addresses = [a for a in (("169.254.169.254", 80), ("172.17.0.1", 22), ("192.0.2.1", 80), ("127.0.0.1", 4222), ("127.0.0.1", 7411)) if reached(a)]
    return [n for n in os.listdir("/sys/class/net") if n.startswith(("eth", "en", "docker", "veth", "br"))] + [f"{h}:{p}" for h, p in addresses]`,
  limits: `return (at_most(resource.RLIMIT_NOFILE, 1024) + at_most(resource.RLIMIT_CORE, 0) + at_most(resource.RLIMIT_MEMLOCK, 65536)
      + at_most(resource.RLIMIT_MSGQUEUE if hasattr(resource, "RLIMIT_MSGQUEUE") else 12, 0) + at_most(resource.RLIMIT_FSIZE, 2 ** 40)
      + (["oom_score_adj"] if put("/proc/self/oom_score_adj", "-900") else []))`,
}

export const WALL_NAMES = Object.keys(WALLS)

const functions = Object.entries(WALLS)
  .map(([name, body]) => `@wall(${JSON.stringify(name)})\ndef _():\n    ${body.trim()}\n`)
  .join("")

const PROGRAM = `${PRELUDE}${functions}${EPILOGUE}`

/** WA2. */
function findings(seen: Seen): readonly Finding[] {
  const told = reportOf(seen)
  return WALL_NAMES.map((name) => {
    const through = told?.[name]
    if (!Array.isArray(through)) return { name, broke: `no report of it: ${endOf(seen)}` }
    return { name, broke: through.length === 0 ? null : through.join(", ") }
  })
}

function reportOf({ stdout }: Seen): Readonly<Record<string, unknown>> | null {
  try {
    return JSON.parse(stdout) as Readonly<Record<string, unknown>>
  } catch {
    return null
  }
}

/** @param canaries - files of the host that it must not find */
export const wallsAttack = (canaries: readonly string[]): Attack => ({
  name: "walls",
  request: { runtime: "python", code: PROGRAM, args: canaries, timeoutMs: 60_000 },
  judge: findings,
})
