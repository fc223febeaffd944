// The system calls of the default profile, by what they serve. Linux
// system calls up to 6.18; names that a machine's libseccomp or architecture
// lacks are skipped.
#include "engine/isolators/seccomp.h"

namespace bulwark::engine {

const char* const kAllowedSyscalls[] = {
    // Files and directories.
    "access", "chdir", "chmod", "chown", "close", "close_range",
    "copy_file_range", "creat", "dup", "dup2", "dup3", "faccessat",
    "faccessat2", "fadvise64", "fallocate", "fchdir", "fchmod", "fchmodat",
    "fchown", "fchownat", "fcntl", "fdatasync", "fgetxattr", "flistxattr",
    "flock", "fremovexattr", "fsetxattr", "fstat", "fstatfs", "fsync",
    "ftruncate", "futimesat", "getcwd", "getdents", "getdents64", "getxattr",
    "inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch",
    "lchown", "lgetxattr", "link", "linkat", "listxattr", "llistxattr",
    "lremovexattr", "lseek", "lsetxattr", "lstat", "mkdir", "mkdirat",
    "name_to_handle_at", "newfstatat", "open", "openat", "openat2", "pread64",
    "preadv", "preadv2", "pwrite64", "pwritev", "pwritev2", "read", "readahead",
    "readlink", "readlinkat", "readv", "removexattr", "rename", "renameat",
    "renameat2", "rmdir", "sendfile", "setxattr", "splice", "stat", "statfs",
    "statx", "symlink", "symlinkat", "sync", "sync_file_range", "syncfs", "tee",
    "truncate", "umask", "unlink", "unlinkat", "utime", "utimensat", "utimes",
    "vmsplice", "write", "writev", "fanotify_mark",
    // Device nodes: pipes and sockets need no capability; the rest needs one.
    "mknod", "mknodat",
    // Events and waiting.
    "epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old",
    "epoll_pwait", "epoll_pwait2", "epoll_wait", "epoll_wait_old", "eventfd",
    "eventfd2", "poll", "ppoll", "pselect6", "select", "signalfd", "signalfd4",
    "timerfd_create", "timerfd_gettime", "timerfd_settime", "pipe", "pipe2",
    "io_cancel", "io_destroy", "io_getevents", "io_pgetevents", "io_setup",
    "io_submit",
    // Memory.
    "brk", "madvise", "membarrier", "memfd_create", "memfd_secret", "mincore",
    "mlock", "mlock2", "mlockall", "mmap", "mprotect", "mremap", "msync",
    "munlock", "munlockall", "munmap", "pkey_alloc", "pkey_free",
    "pkey_mprotect", "process_madvise", "process_mrelease", "remap_file_pages",
    "get_mempolicy", "set_mempolicy", "mbind",
    // Processes and threads.
    "arch_prctl", "capget", "capset", "execve", "execveat", "exit",
    "exit_group", "fork", "futex", "futex_waitv", "get_robust_list",
    "get_thread_area", "getcpu", "getpgid", "getpgrp", "getpid", "getppid",
    "getpriority", "getrlimit", "getrusage", "getsid", "gettid", "ioprio_get",
    "ioprio_set", "kill", "pidfd_open", "pidfd_send_signal", "prctl",
    "prlimit64", "restart_syscall", "rseq", "sched_get_priority_max",
    "sched_get_priority_min", "sched_getaffinity", "sched_getattr",
    "sched_getparam", "sched_getscheduler", "sched_rr_get_interval",
    "sched_setaffinity", "sched_setattr", "sched_setparam",
    "sched_setscheduler", "sched_yield", "set_robust_list", "set_thread_area",
    "set_tid_address", "setpgid", "setpriority", "setrlimit", "setsid",
    "tgkill", "tkill", "vfork", "wait4", "waitid",
    // Tracing one's own kind; the ptrace access rules apply.
    "process_vm_readv", "process_vm_writev", "ptrace",
    // Identity.
    "getegid", "geteuid", "getgid", "getgroups", "getresgid", "getresuid",
    "getuid", "setfsgid", "setfsuid", "setgid", "setgroups", "setregid",
    "setresgid", "setresuid", "setreuid", "setuid",
    // Signals.
    "alarm", "pause", "rt_sigaction", "rt_sigpending", "rt_sigprocmask",
    "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait",
    "rt_tgsigqueueinfo", "sigaltstack",
    // Time. Setting it needs a capability that no profile gives.
    "adjtimex", "clock_adjtime", "clock_getres", "clock_gettime",
    "clock_nanosleep", "getitimer", "gettimeofday", "nanosleep", "setitimer",
    "time", "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime",
    "timer_settime", "times",
    // Network.
    "accept", "accept4", "bind", "connect", "getpeername", "getsockname",
    "getsockopt", "listen", "recvfrom", "recvmmsg", "recvmsg", "sendmmsg",
    "sendmsg", "sendto", "setsockopt", "shutdown", "socketpair",
    // System V and POSIX inter-process communication.
    "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedsend",
    "mq_unlink", "msgctl", "msgget", "msgrcv", "msgsnd", "semctl", "semget",
    "semop", "semtimedop", "shmat", "shmctl", "shmdt", "shmget",
    // The rest.
    "getrandom", "landlock_add_rule", "landlock_create_ruleset",
    "landlock_restrict_self", "seccomp", "sysinfo", "uname",
    // Other architectures' forms of the above.
    "_llseek", "_newselect", "chown32", "fchown32", "fcntl64", "fstat64",
    "fstatat64", "fstatfs64", "ftruncate64", "getegid32", "geteuid32",
    "getgid32", "getgroups32", "getuid32", "lstat64", "mmap2", "recv", "send",
    "sendfile64", "setgid32", "setgroups32", "setuid32", "sigreturn", "stat64",
    "statfs64", "truncate64", "ugetrlimit", "waitpid", nullptr};

// cachestat, fchmodat2, map_shadow_stack, futex_wake, futex_wait,
// futex_requeue, mseal, setxattrat, getxattrat, listxattrat, removexattrat:
// the same numbers everywhere.
const int kAllowedSyscallNumbers[] = {451, 452, 453, 454, 455, 456,
                                      462, 463, 464, 465, 466, -1};

const char* const kBuildSyscalls[] = {"chroot", nullptr};

const char* const kRefusedSyscalls[] = {"acct",
                                        "add_key",
                                        "bpf",
                                        "clock_settime",
                                        "create_module",
                                        "delete_module",
                                        "fanotify_init",
                                        "finit_module",
                                        "fsconfig",
                                        "fsmount",
                                        "fsopen",
                                        "fspick",
                                        "get_kernel_syms",
                                        "init_module",
                                        "io_uring_enter",
                                        "io_uring_register",
                                        "io_uring_setup",
                                        "ioperm",
                                        "iopl",
                                        "kcmp",
                                        "kexec_file_load",
                                        "kexec_load",
                                        "keyctl",
                                        "lookup_dcookie",
                                        "migrate_pages",
                                        "mount",
                                        "mount_setattr",
                                        "move_mount",
                                        "move_pages",
                                        "nfsservctl",
                                        "open_by_handle_at",
                                        "open_tree",
                                        "perf_event_open",
                                        "pidfd_getfd",
                                        "pivot_root",
                                        "query_module",
                                        "quotactl",
                                        "quotactl_fd",
                                        "reboot",
                                        "request_key",
                                        "setdomainname",
                                        "sethostname",
                                        "setns",
                                        "settimeofday",
                                        "stime",
                                        "swapoff",
                                        "swapon",
                                        "sysfs",
                                        "syslog",
                                        "umount",
                                        "umount2",
                                        "unshare",
                                        "uselib",
                                        "userfaultfd",
                                        "ustat",
                                        "vhangup",
                                        "vm86",
                                        "vm86old",
                                        nullptr};

}  // namespace bulwark::engine
