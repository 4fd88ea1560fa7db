"""The C library calls that Python lacks: every ctypes signature, declared once at import.

Nothing else lives here. A wrapper encodes its arguments, calls, and raises OSError that names the call and the path.
Calls through ctypes release the interpreter lock, which is why spawning goes through here as well (see process.py).
Needs glibc 2.34 or newer for posix_spawn_file_actions_addclosefrom_np.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping, Sequence
from ctypes import POINTER, c_char_p, c_int, c_long, c_short, c_size_t, c_uint, c_uint64, c_ulong, c_void_p
from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)


class OpenHow(ctypes.Structure):
    """struct open_how of openat2(2)."""

    _fields_ = [("flags", c_uint64), ("mode", c_uint64), ("resolve", c_uint64)]


RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10


class MountAttr(ctypes.Structure):
    """struct mount_attr of mount_setattr(2)."""

    _fields_ = [("attr_set", c_uint64), ("attr_clr", c_uint64), ("propagation", c_uint64), ("userns_fd", c_uint64)]


# The same numbers on every architecture (include/uapi/asm-generic/unistd.h).
_OPEN_TREE = 428
_MOVE_MOUNT = 429
_OPENAT2 = 437
_MOUNT_SETATTR = 442

AT_EMPTY_PATH = 0x1000
AT_FDCWD = -100
MOVE_MOUNT_F_EMPTY_PATH = 0x04
OPEN_TREE_CLONE = 1

_POSIX_SPAWN_SETSIGDEF = 0x04
_POSIX_SPAWN_SETSIGMASK = 0x08
_POSIX_SPAWN_SETSID = 0x80
# Opaque glibc types (posix_spawn_file_actions_t 80, posix_spawnattr_t 336, sigset_t 128 bytes), with room to grow.
_OPAQUE = 512


def _declare(name: str, *argtypes: object, restype: object = c_int) -> Callable[..., int]:
    function: Any = _libc[name]  # by index each is an object of its own: "syscall" has several signatures
    function.argtypes = argtypes
    function.restype = restype
    return function  # type: ignore[no-any-return]


_mount = _declare("mount", c_char_p, c_char_p, c_char_p, c_ulong, c_char_p)
_setns = _declare("setns", c_int, c_int)
_syscall_mount_setattr = _declare(
    "syscall", c_long, c_int, c_char_p, c_uint, POINTER(MountAttr), c_size_t, restype=c_long
)
_syscall_move_mount = _declare("syscall", c_long, c_int, c_char_p, c_int, c_char_p, c_uint, restype=c_long)
_syscall_open_tree = _declare("syscall", c_long, c_int, c_char_p, c_uint, restype=c_long)
_syscall_openat2 = _declare("syscall", c_long, c_int, c_char_p, POINTER(OpenHow), c_size_t, restype=c_long)
_umount2 = _declare("umount2", c_char_p, c_int)
_unshare = _declare("unshare", c_int)

_posix_spawn = _declare(
    "posix_spawn", POINTER(c_int), c_char_p, c_void_p, c_void_p, POINTER(c_char_p), POINTER(c_char_p)
)
_actions_addchdir = _declare("posix_spawn_file_actions_addchdir_np", c_void_p, c_char_p)
_actions_addclosefrom = _declare("posix_spawn_file_actions_addclosefrom_np", c_void_p, c_int)
_actions_adddup2 = _declare("posix_spawn_file_actions_adddup2", c_void_p, c_int, c_int)
_actions_destroy = _declare("posix_spawn_file_actions_destroy", c_void_p)
_actions_init = _declare("posix_spawn_file_actions_init", c_void_p)
_spawnattr_destroy = _declare("posix_spawnattr_destroy", c_void_p)
_spawnattr_init = _declare("posix_spawnattr_init", c_void_p)
_spawnattr_setflags = _declare("posix_spawnattr_setflags", c_void_p, c_short)
_spawnattr_setsigdefault = _declare("posix_spawnattr_setsigdefault", c_void_p, c_void_p)
_spawnattr_setsigmask = _declare("posix_spawnattr_setsigmask", c_void_p, c_void_p)
_sigemptyset = _declare("sigemptyset", c_void_p)
_syncfs = _declare("syncfs", c_int)
_sigfillset = _declare("sigfillset", c_void_p)


def _failed(call: str, path: str = "", other: str | None = None) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}", path or None, None, other)


def _check(call: str, number: int) -> None:
    """Raise for the posix_spawn family, which returns an errno instead of setting it."""
    if number:
        raise OSError(number, f"{call}: {os.strerror(number)}")


def mount(source: str, target: str, fstype: str, flags: int, data: str) -> None:
    """mount(2); the error names target and source."""
    encoded = [os.fsencode(part) if part else None for part in (source, target, fstype)]
    if _mount(*encoded, flags, os.fsencode(data) if data else None) != 0:
        raise _failed("mount", target, source or None)


def open_tree(path: str) -> int:
    """open_tree(2) with OPEN_TREE_CLONE: a copy of the mount at `path` that lies nowhere yet; close-on-exec."""
    fd = _syscall_open_tree(_OPEN_TREE, AT_FDCWD, os.fsencode(path), OPEN_TREE_CLONE | os.O_CLOEXEC)
    if fd < 0:
        raise _failed("open_tree", path)
    return fd


def mount_setattr(fd: int, attr_set: int, userns_fd: int = 0) -> None:
    """mount_setattr(2) of the mount behind `fd`; with MOUNT_ATTR_IDMAP `userns_fd` is a user namespace."""
    attributes = MountAttr(attr_set=attr_set, attr_clr=0, propagation=0, userns_fd=userns_fd)
    size = ctypes.sizeof(attributes)
    if _syscall_mount_setattr(_MOUNT_SETATTR, fd, b"", AT_EMPTY_PATH, ctypes.byref(attributes), size) != 0:
        raise _failed("mount_setattr")


def move_mount(fd: int, target: str) -> None:
    """move_mount(2): let the mount behind `fd`, from `open_tree`, lie at `target`."""
    if _syscall_move_mount(_MOVE_MOUNT, fd, b"", AT_FDCWD, os.fsencode(target), MOVE_MOUNT_F_EMPTY_PATH) != 0:
        raise _failed("move_mount", target)


def umount2(target: str, flags: int) -> None:
    """umount2(2)."""
    if _umount2(os.fsencode(target), flags) != 0:
        raise _failed("umount2", target)


def unshare(flags: int) -> None:
    """unshare(2) of the calling thread, which must be one that is thrown away (namespaces.py)."""
    if _unshare(flags) != 0:
        raise _failed("unshare")


def setns(fd: int, nstype: int) -> None:
    """setns(2) of the calling thread, which must be one that is thrown away (namespaces.py)."""
    if _setns(fd, nstype) != 0:
        raise _failed("setns")


def syncfs(fd: int) -> None:
    """syncfs(2)."""
    if _syncfs(fd) != 0:
        raise _failed("syncfs")


def openat2(dirfd: int, path: str, flags: int, resolve: int) -> int:
    """openat2(2) of an existing file; the descriptor is close-on-exec."""
    how = OpenHow(flags=flags | os.O_CLOEXEC, mode=0, resolve=resolve)
    fd = _syscall_openat2(_OPENAT2, dirfd, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how))
    if fd < 0:
        raise _failed("openat2", path)
    return fd


def posix_spawn(
    argv: Sequence[str], env: Mapping[str, str], descriptors: Sequence[tuple[int, int]], cwd: str | None
) -> int:
    """Start `argv[0]` (a path) in its own session with default signals; returns its pid.

    `descriptors` are (ours, the child's) pairs; the child has no other descriptor above the highest of its own.
    Raises OSError of execve(2) or chdir(2), naming the program: the child never runs then.
    """
    actions, attributes, signals = (ctypes.create_string_buffer(_OPAQUE) for _ in range(3))
    _check("posix_spawn_file_actions_init", _actions_init(actions))
    _spawnattr_init(attributes)
    try:
        _sigemptyset(signals)
        _spawnattr_setsigmask(attributes, signals)
        _sigfillset(signals)
        _spawnattr_setsigdefault(attributes, signals)
        _spawnattr_setflags(attributes, _POSIX_SPAWN_SETSIGDEF | _POSIX_SPAWN_SETSIGMASK | _POSIX_SPAWN_SETSID)
        for ours, theirs in descriptors:
            _check("adddup2", _actions_adddup2(actions, ours, theirs))
        _check("addclosefrom", _actions_addclosefrom(actions, max(theirs for _, theirs in descriptors) + 1))
        if cwd is not None:
            _check("addchdir", _actions_addchdir(actions, os.fsencode(cwd)))
        pid = c_int()
        number = _posix_spawn(
            ctypes.byref(pid),
            os.fsencode(argv[0]),
            actions,
            attributes,
            _strings(argv),
            _strings([f"{key}={value}" for key, value in env.items()]),
        )
        if number:
            raise OSError(number, f"execve: {os.strerror(number)}", argv[0])
        return pid.value
    finally:
        _spawnattr_destroy(attributes)
        _actions_destroy(actions)


def _strings(items: Sequence[str]) -> ctypes.Array[c_char_p]:
    return (c_char_p * (len(items) + 1))(*(os.fsencode(item) for item in items), None)
