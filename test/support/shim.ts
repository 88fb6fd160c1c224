/**
 * A library that is loaded before a server's own (LD_PRELOAD), and lies to that one process from outside: about the time of
 * day, and about whether the disk has synced. What it says is read from a small file that the test writes.
 */
import { execFileSync } from "node:child_process"
import { closeSync, openSync, writeFileSync, writeSync } from "node:fs"
import { join } from "node:path"

/** The file: by how many milliseconds the wall clock is off, and whether syncs fail. The monotonic clock is left alone. */
const SOURCE = `
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct lies { int64_t offset_ms; int64_t syncs_fail; };
static const volatile struct lies *lies;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("BERTH_TEST_SHIM");
  int fd = path == NULL ? -1 : open(path, O_RDONLY);
  if (fd < 0) return;
  void *map = mmap(NULL, sizeof(struct lies), PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  if (map != MAP_FAILED) lies = map;
}

static void shift(struct timespec *at) {
  int64_t ns = at->tv_sec * 1000000000LL + at->tv_nsec + (lies == NULL ? 0 : lies->offset_ms * 1000000LL);
  at->tv_sec = ns / 1000000000LL;
  at->tv_nsec = ns % 1000000000LL;
}

int clock_gettime(clockid_t clock, struct timespec *at) {
  int result = syscall(SYS_clock_gettime, clock, at);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) shift(at);
  return result;
}
int gettimeofday(struct timeval *restrict at, void *restrict zone) {
  (void)zone;
  struct timespec now;
  int result = clock_gettime(CLOCK_REALTIME, &now);
  at->tv_sec = now.tv_sec;
  at->tv_usec = now.tv_nsec / 1000;
  return result;
}
time_t time(time_t *at) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (at != NULL) *at = now.tv_sec;
  return now.tv_sec;
}
static int synced(int fd, long call) {
  if (lies != NULL && lies->syncs_fail) { errno = EIO; return -1; }
  return syscall(call, fd);
}
int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }
`

const OFFSET_AT = 0
const SYNCS_FAIL_AT = 8

export interface Shim {
  /** What the lied-to process is started with. */
  readonly env: Readonly<Record<string, string>>
  /** Steps that process's wall clock: so far from the true time, from now on. */
  readonly setClock: (offsetMs: number) => void
  readonly setSyncsFail: (fail: boolean) => void
  readonly close: () => void
}

/** Compiles the library in `folder`. */
export function makeShim(folder: string): Shim {
  const [source, library, lies] = ["shim.c", "shim.so", "lies"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ]
  writeFileSync(source, SOURCE)
  execFileSync("cc", ["-O1", "-shared", "-fPIC", "-o", library, source], { stdio: "pipe" })
  writeFileSync(lies, Buffer.alloc(16))
  const file = openSync(lies, "r+")
  const write = (value: number, at: number): void => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64LE(BigInt(value))
    writeSync(file, bytes, 0, 8, at)
  }
  return {
    env: { LD_PRELOAD: library, BERTH_TEST_SHIM: lies },
    setClock: (offsetMs) => write(offsetMs, OFFSET_AT),
    setSyncsFail: (fail) => write(fail ? 1 : 0, SYNCS_FAIL_AT),
    close: () => closeSync(file),
  }
}
