"""The kernel calls that Python 3.11's ``os`` lacks, each a thin wrapper that raises OSError with the call's name.

The only module of the package that uses ctypes. Constants and functions are named as in the man pages; nothing here
decides anything. Signatures are declared once, at import.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys

CLONE_FILES = 0x00000400
CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MNT_DETACH = 2

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_REC = 16384
MS_SLAVE = 1 << 19

PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

#: The same on every machine (as all calls since Linux 5.0 are).
SYS_CLONE3 = 435
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "s390x": 217, "ppc64le": 203}
_LINUX_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)
# Without argument types and errno: what each monitor calls, for a third of the memory that it costs otherwise.
_plain = ctypes.CDLL(None)
_plain_prctl, _plain_syscall, _plain_signalfd = _plain.prctl, _plain.syscall, _plain.signalfd
_plain_trim = getattr(_plain, "malloc_trim", None)  # glibc has it
_libc.prctl.argtypes = (ctypes.c_int,) + (ctypes.c_ulong,) * 4
# struct clone_args (clone(2)): flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls.
#: For ``clone``: a fork; one whose parent and child go on to share one descriptor table.
FORK = struct.pack("=8Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
SHARE_FILES = struct.pack("=8Q", CLONE_FILES, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
# sigset_t of 1024 bits in words of the machine's own order.
_SIGCHLD_SET = struct.pack("@L", 1 << (signal.SIGCHLD - 1)).ljust(128, bytes(1))
_ZYGOTE_SET = struct.pack("@L", 1 << (signal.SIGCHLD - 1) | 1 << (signal.SIGTERM - 1)).ljust(128, bytes(1))
_libc.setns.argtypes = (ctypes.c_int, ctypes.c_int)
_libc.unshare.argtypes = (ctypes.c_int,)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
_libc.umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)
_libc.capset.argtypes = (ctypes.c_char_p, ctypes.c_char_p)


def _check(result: int, call: str) -> None:
    if result < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"{call}: {os.strerror(errno)}")


def prctl(option: int, value: int = 0) -> None:
    """prctl(2) with one number, the rest zero as the newer options demand."""
    _check(_libc.prctl(option, value, 0, 0, 0), f"prctl({option}, {value})")


def prctl_pointer(option: int, value: int, address: int) -> None:
    """prctl(2) with a number and the address of what it takes."""
    _check(_libc.prctl(option, value, address, 0, 0), f"prctl({option}, {value})")


def set_child_subreaper() -> None:
    """PR_SET_CHILD_SUBREAPER: orphans below this process become its children. Raises OSError."""
    if _plain_prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(0, "prctl(PR_SET_CHILD_SUBREAPER) failed")


def set_name(name: bytes) -> None:
    """The process's comm, as ps -o comm shows it; the kernel keeps 15 bytes. Through /proc, which needs no ctypes."""
    fd = os.open("/proc/self/comm", os.O_WRONLY | os.O_CLOEXEC)
    os.write(fd, name)
    os.close(fd)


def set_arguments(text: bytes) -> None:
    """Let /proc/PID/cmdline say *text* and environ nothing, in the memory that the kernel shows.

    Whoever sees a process may read its command line (proc_pid_cmdline(5)), and who may trace it its environment; where
    that memory is, the fields arg_start to env_end of proc_pid_stat(5) tell.
    """
    fd = os.open("/proc/self/stat", os.O_RDONLY | os.O_CLOEXEC)
    fields = os.read(fd, 4096).rpartition(b")")[2].split()
    os.close(fd)
    start, end, env_start, env_end = (int(fields[at]) for at in range(45, 49))
    ctypes.memset(start, 0, end - start)
    ctypes.memset(env_start, 0, env_end - env_start)
    ctypes.memmove(start, text, min(len(text), end - start - 1))


def clone(arguments: bytes) -> int:
    """As fork(2), but with less written in the child: *arguments* are FORK or SHARE_FILES. Raises OSError.

    For a process with one thread only: neither the C library nor the interpreter hears of this fork, and what they
    would do in the child concerns other threads.
    """
    pid: int = _plain_syscall(SYS_CLONE3, arguments, 64)
    if pid < 0:
        raise OSError(0, "clone3 failed")
    return pid


def signalfd_children(end: bool = False) -> int:
    """A descriptor that is readable when a child has ended (signalfd(2)); SIGCHLD must be blocked. Raises OSError.

    With *end* also when this process is told to end: SIGTERM, which must be blocked too."""
    fd: int = _plain_signalfd(-1, _ZYGOTE_SET if end else _SIGCHLD_SET, os.O_CLOEXEC | os.O_NONBLOCK)
    if fd < 0:
        raise OSError(0, "signalfd failed")
    return fd


def setns(fd: int, nstype: int) -> None:
    """setns(2): join the namespace behind *fd*, which must be of *nstype*."""
    _check(_libc.setns(fd, nstype), "setns")


def unshare(flags: int) -> None:
    """unshare(2)."""
    _check(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, fstype: str, flags: int, data: str = "") -> None:
    """mount(2)."""
    result = _libc.mount(source.encode(), target.encode(), fstype.encode(), flags, data.encode())
    _check(result, f"mount {fstype or source} on {target}")


def umount2(target: str, flags: int) -> None:
    """umount2(2)."""
    _check(_libc.umount2(target.encode(), flags), f"umount {target}")


def pivot_root(new_root: str, put_old: str) -> None:
    """pivot_root(2). Raises KeyError on a machine type that SYS_PIVOT_ROOT does not list."""
    call = SYS_PIVOT_ROOT[os.uname().machine]
    _check(_libc.syscall(call, new_root.encode(), put_old.encode()), "pivot_root")


def drop_capabilities() -> None:
    """Empty the effective, permitted and inheritable capability sets, capset(2); the ambient set follows."""
    header = _LINUX_CAPABILITY_VERSION_3.to_bytes(4, sys.byteorder) + bytes(4)
    _check(_libc.capset(header, bytes(24)), "capset")


def malloc_trim() -> None:
    """Give free heap pages back to the kernel (malloc_trim(3)); a C library without it is left alone."""
    if _plain_trim is not None:
        _plain_trim(0)
