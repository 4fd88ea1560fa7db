"""Namespaces of the calling thread (namespaces(7)): made, pinned by bind mounts, entered.

unshare and setns happen only in a thread that is started for it and ends with it. Such a thread never returns to a
pool, so no other work can find itself in a pod's namespace.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from criserver.kernel import files, libc, mount

T = TypeVar("T")
NOTHING_MADE: Mapping[str, int] = {}

CLONE_FS = 0x00000200
CLONE_NEWNS = 0x00020000
CLONE_NEWIPC = 0x08000000
CLONE_NEWNET = 0x40000000
CLONE_NEWUTS = 0x04000000

_CLONE_FLAGS = {"ipc": CLONE_NEWIPC, "net": CLONE_NEWNET, "uts": CLONE_NEWUTS}

_IFF_UP = 0x1
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914


def in_thread(function: Callable[[], T]) -> T:
    """Run `function` in a thread of its own that ends with it; its result or its exception is handed on. Blocks."""
    with ThreadPoolExecutor(1, thread_name_prefix="throw-away") as once:
        return once.submit(function).result()


def pin_new(
    targets: Mapping[str, str], *, hostname: str, sysctls: Mapping[str, str], made: Mapping[str, int] = NOTHING_MADE
) -> None:
    """Make new namespaces and bind each to its file: `targets` is kind ("net", "ipc", "uts") → path. Blocks.

    In a new net namespace loopback comes up; `hostname`, if any, goes to the new uts namespace; `sysctls` (names
    with slashes, relative to /proc/sys) are written inside all of them. `made` are those that somebody else has made,
    by kind, as descriptors: all of `targets` then, and one of kind "user" is only pinned. OSError says which step
    failed; files and mounts made until then stay, for the caller to `unpin`.
    """
    in_thread(lambda: _make_and_pin(targets, hostname, sysctls, made))


def pin_of(pid: int, kind: str, target: str) -> None:
    """Bind process `pid`'s namespace of that kind to the file `target`, which must not be pinned already. Blocks."""
    _pin(f"/proc/{pid}/ns/{kind}", target)


def unpin(target: str) -> None:
    """Drop the pin at `target`: unmount and remove the file. Idempotent, also after a half-done pin. Blocks."""
    mount.unmount(target)
    files.remove(target)


def inside(namespace: str, function: Callable[[], T]) -> T:
    """Run `function` in a throw-away thread that has joined the namespace at that path; not for mnt or user. Blocks."""

    def body() -> T:
        fd = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            libc.setns(fd, 0)
        finally:
            os.close(fd)
        return function()

    return in_thread(body)


def inside_each(namespaces: Iterable[str], function: Callable[[], T]) -> dict[str, T]:
    """What `function` returns in each of the namespaces, by path; one throw-away thread joins them in turn. Blocks.

    One that is gone, or where `function` meets an OSError, is missing from the answer. Not for mnt or user.
    """

    def body() -> dict[str, T]:
        found = {}
        for namespace in namespaces:
            with contextlib.suppress(OSError):
                fd = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    libc.setns(fd, 0)
                finally:
                    os.close(fd)
                found[namespace] = function()
        return found

    return in_thread(body)


def in_directory(path: str, function: Callable[[], T]) -> T:
    """Run `function` in a throw-away thread whose working directory is `path`, as no other thread's is. Blocks."""

    def body() -> T:
        libc.unshare(CLONE_FS)
        os.chdir(path)
        return function()

    return in_thread(body)


def in_private_mounts(function: Callable[[], T], target: str = "") -> T:
    """Run `function` in a throw-away mount namespace; what it has mounted at `target`, if given, then lies here too.

    Every other mount that it makes is gone with the thread, even when this process is killed at any instruction.
    Blocks.
    """

    def body() -> T:
        here = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        try:
            libc.unshare(CLONE_NEWNS)
            mount.set_propagation("/", mount.MS_PRIVATE | mount.MS_REC)
            result = function()
            if target:
                _hand_over(target, here)
        finally:
            os.close(here)
        return result

    return in_thread(body)


def _hand_over(target: str, namespace: int) -> None:
    """Go to that mount namespace and let the mount at `target` lie there, too."""
    tree = libc.open_tree(target)
    try:
        libc.setns(namespace, CLONE_NEWNS)
        libc.move_mount(tree, target)
    finally:
        os.close(tree)


def _make_and_pin(
    targets: Mapping[str, str], hostname: str, sysctls: Mapping[str, str], made: Mapping[str, int]
) -> None:
    flags = 0
    for kind in targets:
        if kind in made:
            if kind != "user":  # which no thread of a process with several can enter, and none needs to
                libc.setns(made[kind], 0)
        else:
            flags |= _CLONE_FLAGS[kind]
    libc.unshare(flags)
    if "net" in targets:
        _loopback_up()
    if "uts" in targets and hostname:
        socket.sethostname(hostname)
    for name, value in sysctls.items():
        _write_sysctl(name, value)
    for kind, target in targets.items():
        _pin(f"/proc/self/fd/{made[kind]}" if kind in made else f"/proc/thread-self/ns/{kind}", target)


def _pin(namespace: str, target: str) -> None:
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o400))
    mount.bind(namespace, target)


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
        request = bytearray(struct.pack("16sh22x", b"lo", 0))  # struct ifreq of netdevice(7)
        fcntl.ioctl(control, _SIOCGIFFLAGS, request)
        (flags,) = struct.unpack_from("h", request, 16)
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | _IFF_UP))


def _write_sysctl(name: str, value: str) -> None:
    fd = os.open(f"/proc/sys/{name}", os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.write(fd, value.encode())
    except OSError as error:
        raise OSError(error.errno, f"write {value!r}: {error.strerror}", f"/proc/sys/{name}") from None
    finally:
        os.close(fd)
