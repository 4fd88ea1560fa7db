"""The built-in RuntimeDefault seccomp profile, for hosts without an installed one, in the form of such a file.

Data only. Listed calls are allowed; calls known to be dangerous are refused with EPERM unless a capability that the
kernel asks for anyway is held; what is not listed at all answers ENOSYS, so that a C library falls back to an older
call. Not allowed to anyone: kernel keyrings, which no namespace separates, io_uring and userfaultfd, which widen the
kernel's attack surface, and sockets of the families AF_ALG and AF_VSOCK, which reach past the network namespace.
"""

from __future__ import annotations

from typing import Any

_ALLOWED = """
_llseek _newselect accept accept4 access adjtimex alarm arch_prctl arm_fadvise64_64 arm_sync_file_range bind
breakpoint brk cacheflush cachestat capget capset chdir chmod chown chown32 clock_adjtime clock_adjtime64
clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 close
close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_pwait
epoll_pwait2 epoll_wait eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64
fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64
fdatasync fgetxattr file_getattr file_setattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat
fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv
futex_wake futimesat get_robust_list get_thread_area get_tls getcpu getcwd getdents getdents64 getegid getegid32
geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid
getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit getrusage getsid getsockname
getsockopt gettid gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init inotify_init1
inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit ioctl
ioprio_get ioprio_set ipc kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32
lgetxattr link linkat listen listmount listxattr listxattrat llistxattr lremovexattr lseek lsetxattr
lsm_get_self_attr lsm_list_modules lsm_set_self_attr lstat lstat64 madvise map_shadow_stack membarrier
memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 modify_ldt mprotect
mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink
mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat
nice open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll
ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease pselect6 pselect6_time64 pwrite64
pwritev pwritev2 read readahead readdir readlink readlinkat readv recvfrom recvmmsg recvmmsg_time64 recvmsg
remap_file_pages removexattr removexattrat rename renameat renameat2 restart_syscall riscv_flush_icache
riscv_hwprobe rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo s390_guarded_storage s390_pci_mmio_read
s390_pci_mmio_write s390_runtime_instr s390_sthyi sched_get_priority_max sched_get_priority_min sched_getaffinity
sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64
sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop
semtimedop semtimedop_time64 sendfile sendfile64 sendmmsg sendmsg sendto set_robust_list set_thread_area
set_tid_address set_tls setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer
setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit
setsid setsockopt setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaction sigaltstack
signal signalfd signalfd4 sigpending sigprocmask sigreturn sigsuspend socketpair splice stat stat64 statfs
statfs64 statmount statx symlink symlinkat sync sync_file_range sync_file_range2 syncfs sysinfo tee tgkill time
timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64
timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate truncate64
ugetrlimit umask uname unlink unlinkat utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid
write writev
"""

_BY_CAPABILITY: dict[str, str] = {
    "CAP_BPF": "bpf",
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_PERFMON": "perf_event_open",
    "CAP_SYSLOG": "syslog",
    "CAP_SYS_ADMIN": (
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount "
        "open_tree open_tree_attr perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount "
        "umount2 unshare"
    ),
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module finit_module init_module",
    "CAP_SYS_NICE": "get_mempolicy mbind migrate_pages move_pages set_mempolicy set_mempolicy_home_node",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
    "CAP_SYS_RAWIO": "ioperm iopl",
    "CAP_SYS_TIME": "clock_settime clock_settime64 settimeofday stime",
    "CAP_SYS_TTY_CONFIG": "vhangup",
}

_REFUSED = (
    "add_key io_uring_enter io_uring_register io_uring_setup keyctl kexec_file_load kexec_load pivot_root request_key "
    "swapoff swapon userfaultfd"
)

_EPERM, _ENOSYS = 1, 38
# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET of clone(2) together.
_CLONE_NEW = 0x7E020000
# PER_LINUX, PER_LINUX32, both with UNAME26, and the query, of personality(2).
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
_AF_ALG, _AF_VSOCK = 38, 40


def profile() -> dict[str, Any]:
    """The profile as a file of its kind would parse."""
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": _ENOSYS,
        "syscalls": [_allow(_ALLOWED), *_conditional(), *_namespaces(), *_arguments(), _refuse(_REFUSED)],
    }


def _conditional() -> list[dict[str, Any]]:
    allowed = [_allow(names, includes={"caps": [name]}) for name, names in _BY_CAPABILITY.items()]
    holders: dict[str, list[str]] = {}
    for capability, names in _BY_CAPABILITY.items():
        for name in names.split():
            holders.setdefault(name, []).append(capability)
    # ptrace is safe below a seccomp filter since Linux 4.8; clone and clone3 have rules of their own.
    allowed.append(_allow("ptrace", includes={"minKernel": "4.8"}, excludes={"caps": ["CAP_SYS_PTRACE"]}))
    refused = [
        _refuse(name, excludes={"caps": capabilities})
        for name, capabilities in holders.items()
        if name not in ("clone", "clone3", "ptrace")
    ]
    return allowed + refused


def _namespaces() -> list[dict[str, Any]]:
    """Without CAP_SYS_ADMIN: clone without new namespaces; clone3, whose flags a filter cannot see, is unknown."""
    rest = {"caps": ["CAP_SYS_ADMIN"]}
    flags = {"value": _CLONE_NEW, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    on_s390 = {"arches": ["s390", "s390x"]}
    return [
        _allow("clone", excludes={**rest, **on_s390}, args=[{"index": 0, **flags}]),
        _allow("clone", includes=on_s390, excludes=rest, args=[{"index": 1, **flags}]),
        {**_refuse("clone3", excludes=rest), "errnoRet": _ENOSYS},
    ]


def _arguments() -> list[dict[str, Any]]:
    families = ((_AF_ALG, "SCMP_CMP_LT"), (_AF_ALG + 1, "SCMP_CMP_EQ"), (_AF_VSOCK, "SCMP_CMP_GT"))
    rules = [("personality", value, "SCMP_CMP_EQ") for value in _PERSONALITIES]
    rules += [("socket", value, op) for value, op in families]
    return [_allow(name, args=[{"index": 0, "value": value, "op": op}]) for name, value, op in rules]


def _allow(names: str, **conditions: Any) -> dict[str, Any]:
    return {"names": names.split(), "action": "SCMP_ACT_ALLOW", **conditions}


def _refuse(names: str, **conditions: Any) -> dict[str, Any]:
    return {"names": names.split(), "action": "SCMP_ACT_ERRNO", "errnoRet": _EPERM, **conditions}
