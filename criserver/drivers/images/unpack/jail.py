"""What a process that reads an attacker's archive gives up before it reads the first byte.

Linux only, through ctypes: prctl(2), unshare(2), capset(2), setrlimit(2). Called once, in the process that will be
thrown away.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38
CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWNS = 0x40000000, 0x08000000, 0x04000000, 0x00020000
_CAPABILITY_VERSION_3 = 0x20080522

# include/uapi/linux/capability.h
CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_SYS_ADMIN, CAP_MKNOD, CAP_SETFCAP = 0, 1, 3, 4, 21, 27, 31
KEPT = (CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_SYS_ADMIN, CAP_MKNOD, CAP_SETFCAP)
"""What writing any tree needs. SYS_ADMIN because trusted.* xattrs, overlayfs's own, need it (xattr(7))."""

ADDRESS_SPACE = 1 << 30
"""Bytes of memory: several times what a chunk, the largest zstd window and the interpreter take."""
DESCRIPTORS = 64

_libc = ctypes.CDLL(None, use_errno=True)
_libc.unshare.argtypes = (ctypes.c_int,)
_libc.prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)


class _CapHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _CapData(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


def die_with_parent(parent: int) -> None:
    """SIGKILL when the thread that started this process ends; exit at once when it has ended already."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def enter(directory: str, file_limit: int) -> None:
    """Make `directory` the whole world: no way out, no network, no more privileges than a tree's making needs.

    No file may become larger than `file_limit` bytes.
    """
    _check("unshare", _libc.unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS))
    os.chroot(directory)
    os.chdir("/")
    os.umask(0)
    for what, limit in (
        (resource.RLIMIT_AS, ADDRESS_SPACE),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, file_limit),
        (resource.RLIMIT_NOFILE, DESCRIPTORS),
    ):
        resource.setrlimit(what, (limit, limit))
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_DUMPABLE, 0)
    _keep_capabilities(sum(1 << capability for capability in KEPT))


def prctl(option: int, argument: int) -> None:
    """prctl(2) with one argument."""
    _check("prctl", _libc.prctl(option, argument, 0, 0, 0))


def _keep_capabilities(mask: int) -> None:
    header = _CapHeader(_CAPABILITY_VERSION_3, 0)
    data = (_CapData * 2)(_CapData(mask, mask, 0), _CapData(mask >> 32, mask >> 32, 0))
    _check("capset", _libc.capset(ctypes.byref(header), data))


def _check(call: str, result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
