"""A new user namespace with the mappings of a pod, and namespaces that it owns, as descriptors for the client to pin.

Only a process with one thread may enter a new user namespace (user_namespaces(7)), which a daemon never is. So a fork
of the zygote does it: one child enters, this process stays outside with the rights to write the maps, opens what the
child is in and sends that in the reply. Both end then; a client that has gone leaves nothing, since nothing is pinned.
Imported where it is asked for only, see ``zygote``.
"""

from __future__ import annotations

import errno
import os
import signal

from conmon import files, linux, process, protocol
from conmon.errors import ConmonError, describe
from conmon.peer import send_fds
from conmon.requests import UserNamespaceRequest

OWNED = {"net": linux.CLONE_NEWNET, "ipc": linux.CLONE_NEWIPC, "uts": linux.CLONE_NEWUTS}
# Bytes of the child's answer: "ok" or words for people.
_ANSWER = 1 << 16


def start(request: UserNamespaceRequest, requester: int, seq: int) -> None:
    """In a fork of the zygote: make the namespaces and answer with their descriptors, the user namespace's first.

    The reply's ``left`` are the sysctls (as "path=value") that only the host's root may write.
    """
    message: protocol.Message = {"seq": seq}
    fds: list[int] = []
    try:
        fds, message["left"] = _made(request)
    except (OSError, ConmonError) as failure:
        message["error"] = f"user namespace of {request.id}: {describe(failure)}"
    os.set_blocking(requester, True)
    packet = protocol.encode_message(protocol.REPLY, message)
    if fds:
        send_fds(requester, packet, fds)
    else:
        os.write(requester, packet)


def _made(request: UserNamespaceRequest) -> tuple[list[int], list[str]]:
    ours, theirs = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours[0])
        os.close(theirs[1])
        _enter(request, theirs[0], ours[1])
        os._exit(0)
    os.close(ours[1])
    os.close(theirs[0])
    try:
        _check(os.read(ours[0], _ANSWER))
        for name, lines in (("uid_map", request.uid_map), ("gid_map", request.gid_map)):
            _write_map(f"/proc/{child}/{name}", lines)
        os.write(theirs[1], b"go")
        left = _check(os.read(ours[0], _ANSWER))
        return [_open(f"/proc/{child}/ns/{kind}") for kind in ("user", *request.kinds)], left
    finally:
        process.send(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _check(answer: bytes) -> list[str]:
    """The lines after "ok". Raises ConmonError with anything else."""
    first, *rest = answer.decode(errors="replace").split("\n")
    if first != "ok":
        raise ConmonError(answer.decode(errors="replace") or "its process died")
    return rest


def _write_map(path: str, lines: str) -> None:
    try:
        files.write_value(path, lines)
    except OSError as error:
        # EINVAL for ranges that overlap, EPERM for ids that this process's own user namespace does not have.
        raise ConmonError(f"{os.path.basename(path)} {lines!r}: {error.strerror}") from None


def _open(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _enter(request: UserNamespaceRequest, order: int, answer: int) -> None:
    """In the child: enter, let the maps be written, make what it owns, and wait to be killed."""
    try:
        linux.unshare(linux.CLONE_NEWUSER)
        os.write(answer, b"ok")
        if os.read(order, 16) != b"go":
            return
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        flags = 0
        for kind in request.kinds:
            flags |= OWNED[kind]
        linux.unshare(flags)
        os.write(answer, "\n".join(["ok", *_set(request.sysctls)]).encode())
    except OSError as error:
        os.write(answer, describe(error).encode())
    os.read(order, 16)


def _set(sysctls: list[str]) -> list[str]:
    """Write sysctls; returns those that are refused to this namespace's root. Raises OSError with the kernel's no.

    Those of IPC belong to this root alone since Linux 6.10, others and before to the host's.
    """
    left = []
    for entry in sysctls:
        name, _, value = entry.partition("=")
        try:
            files.write_value(f"/proc/sys/{name}", value)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM):
                raise OSError(error.errno, f"/proc/sys/{name}: {value!r}: {error.strerror}") from None
            left.append(entry)
    return left
