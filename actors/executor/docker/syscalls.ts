/**
 * The system calls that a program in a container may make, by purpose. What is not here fails with EPERM: mounting, modules,
 * keys, tracing (ptrace, process_vm_*, perf), bpf, io_uring, userfaultfd, personality, namespaces, time setting, swap, reboot.
 * Calls of 32-bit and x32 programs are refused as a whole.
 */
const GROUPS = {
  files:
    "access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64 fallocate " +
    "fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync flock fstat fstatfs fsync ftruncate futimesat getcwd " +
    "getdents getdents64 lchown link linkat lseek lstat mkdir mkdirat mknod mknodat newfstatat open openat openat2 readahead " +
    "readlink readlinkat rename renameat renameat2 rmdir stat statfs statx symlink symlinkat sync sync_file_range syncfs " +
    "truncate umask unlink unlinkat utime utimensat utimes cachestat",
  attributes:
    "fgetxattr flistxattr fremovexattr fsetxattr getxattr lgetxattr listxattr llistxattr lremovexattr lsetxattr removexattr setxattr",
  transfer:
    "preadv preadv2 pread64 pwritev pwritev2 pwrite64 read readv sendfile splice tee vmsplice write writev io_cancel io_destroy " +
    "io_getevents io_pgetevents io_setup io_submit ioctl ioprio_get ioprio_set",
  events:
    "epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 " +
    "inotify_add_watch inotify_init inotify_init1 inotify_rm_watch poll ppoll pselect6 select signalfd signalfd4 pipe pipe2",
  memory:
    "brk madvise membarrier memfd_create mincore mlock mlock2 mlockall mmap mprotect mremap msync munlock munlockall munmap " +
    "pkey_alloc pkey_free pkey_mprotect map_shadow_stack get_mempolicy mbind set_mempolicy set_mempolicy_home_node mseal process_madvise",
  processes:
    "alarm arch_prctl capget capset execve execveat exit exit_group fork vfork getcpu getpgid getpgrp getpid getppid getpriority " +
    "getrlimit getrusage getsid gettid kill nanosleep pause pidfd_open pidfd_send_signal prctl prlimit64 rseq " +
    "restart_syscall sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam " +
    "sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield " +
    "seccomp set_robust_list get_robust_list set_thread_area get_thread_area set_tid_address setpgid setpriority setrlimit " +
    "setsid tgkill tkill times wait4 waitid futex futex_wait futex_waitv futex_wake futex_requeue landlock_create_ruleset " +
    "landlock_add_rule landlock_restrict_self",
  users:
    "getegid geteuid getgid getgroups getresgid getresuid getuid setfsgid setfsuid setgid setgroups setregid setresgid " +
    "setresuid setreuid setuid",
  signals:
    "rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo " +
    "sigaltstack",
  time:
    "clock_getres clock_gettime clock_nanosleep getitimer gettimeofday setitimer time timer_create timer_delete timer_getoverrun " +
    "timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime",
  sockets:
    "accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg sendmmsg sendmsg sendto " +
    "setsockopt shutdown socketpair",
  ipc:
    "mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop " +
    "semtimedop shmat shmctl shmdt shmget",
  system: "getrandom sysinfo uname",
} as const

/** Sorted, each name once. */
export const ALLOWED_CALLS: readonly string[] = [
  ...new Set(Object.values(GROUPS).flatMap((names) => names.split(" "))),
].sort()
