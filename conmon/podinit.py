"""PID 1 of a pod that shares its PID namespace: a fork of the zygote that holds the namespace, reaps, and does
nothing else.

Containers of the pod see this process, so it is worth nothing to them: an empty read-only root, no descriptor that
leads anywhere, uid and gid 65535, no groups, no capabilities (bounding set included), no_new_privs, not dumpable (so
ptrace and /proc/1/{root,exe,fd,environ,mem} need CAP_SYS_PTRACE in the host's user namespace), an empty environment,
a command line that tells of no path of the host, and no system call but those for sleeping and ending.

It reaps by ignoring SIGCHLD: the kernel then reaps every child and every orphan of the namespace itself (wait(2)), and
no code of this process ever runs again. As PID 1 it is out of reach of every signal from inside its namespace, SIGKILL
included (pid_namespaces(7)); from outside, SIGKILL ends it and with it the namespace.
"""

from __future__ import annotations

import os
import signal

from conmon import files, linux, process, protocol
from conmon.errors import ConmonError, describe, report
from conmon.requests import PodInitRequest

NOBODY = 65535
#: Where the empty root is mounted: a directory that every machine has.
_MOUNT_POINT = "/proc"
_NAMESPACES = (
    ("net", linux.CLONE_NEWNET),
    ("ipc", linux.CLONE_NEWIPC),
    ("uts", linux.CLONE_NEWUTS),
    ("user", linux.CLONE_NEWUSER),
)


def start(request: PodInitRequest, requester: int, seq: int) -> None:
    """In a fork of the zygote: make the namespace, fork PID 1, answer its pid once it is hardened, and return.

    The caller exits then; the zygote, a subreaper, becomes PID 1's parent.
    """
    pid, error = 0, ""
    try:
        for path in request.cgroup_procs:
            files.write_value(path, "0")
        process.set_oom_score_adj(request.oom_score_adj, os.getpid())
        linux.set_name(b"pod-init")  # while this is still root's: /proc refuses it in a user namespace
        _join(request)
        linux.unshare(linux.CLONE_NEWPID)
        pid, error = _fork_init()
    except (OSError, ConmonError) as failure:
        error = describe(failure)
    message: protocol.Message = {"seq": seq, "pid": pid, "pid_start": process.starttime(pid)}
    if error:
        message = {"seq": seq, "error": f"pod init of {request.id}: {error}"}
    try:
        os.set_blocking(requester, True)
        os.write(requester, protocol.encode_message(protocol.REPLY, message))
        taken = bool(error) or os.read(requester, protocol.MAX_PACKET) != b""
    except OSError:
        taken = False
    if pid and not taken:
        # The client gave up before it knew the pid: nobody would ever end this process.
        process.send(pid, signal.SIGKILL)


def _join(request: PodInitRequest) -> None:
    """Enter the given namespaces; the user namespace last, since the others need the rights of the host's root."""
    for field, kind in _NAMESPACES:
        path = getattr(request, field)
        if path:
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise ConmonError(f"{field} namespace {path}: {error.strerror}") from None
            try:
                linux.setns(fd, kind)
            except OSError as error:
                raise ConmonError(f"{field} namespace {path}: {error.strerror}") from None
            finally:
                os.close(fd)
    if request.user:
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)


def _fork_init() -> tuple[int, str]:
    """Fork PID 1; its pid as seen from here once it has hardened itself, or its error."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            _harden(writer)
        except BaseException as error:
            os.write(writer, describe(error).encode() or b"unknown error")
            report()
        os._exit(1)
    os.close(writer)
    said = b""
    while part := os.read(reader, 4096):  # to the end: it closes its last descriptors after it has said so
        said += part
    os.close(reader)
    if said == b"\0":
        return pid, ""
    os.waitpid(pid, 0)
    return 0, said.decode(errors="replace") or "died while it hardened itself"


def _harden(ready: int) -> None:
    """Become what the module's docstring says, write a zero byte to *ready*, and sleep for ever."""
    os.setsid()
    linux.set_arguments(b"pod-init")
    uid, gid = _nobody("uid_map"), _nobody("gid_map")
    from conmon import seccomp  # while there are files; a zygote without such pods need not carry it

    _empty_root()
    null = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    for fd in (0, 1, 2):
        os.dup2(null, fd, inheritable=False)
    os.dup2(ready, 3, inheritable=False)
    os.closerange(4, 1 << 20)
    os.setgroups([])
    for capability in range(64):
        try:
            linux.prctl(linux.PR_CAPBSET_DROP, capability)
        except OSError:
            break  # EINVAL: the kernel's last one was before
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    linux.drop_capabilities()
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    linux.prctl(linux.PR_SET_DUMPABLE, 0)
    for signum in signal.valid_signals():
        if signum not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(signum, signal.SIG_IGN)
    seccomp.only_sleep()
    os.write(3, b"\0")
    os.closerange(0, 4)
    while True:
        signal.pause()


def _nobody(file: str) -> int:
    """NOBODY, or the last id of a user namespace that has fewer (proc_pid_uid_map(5))."""
    lines = files.read_bounded(f"/proc/self/{file}").decode().splitlines()
    mappings = [[int(part) for part in line.split()] for line in lines]
    return min(NOBODY, max(first + length - 1 for first, _, length in mappings))


def _empty_root() -> None:
    """Swap the root for an empty, read-only tmpfs and let go of the old one."""
    linux.unshare(linux.CLONE_NEWNS)
    # Slave: what happens in here stays in here.
    linux.mount("none", "/", "", linux.MS_REC | linux.MS_SLAVE)
    flags = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
    linux.mount("pod-init", _MOUNT_POINT, "tmpfs", flags, "size=4k,nr_inodes=2,mode=555")
    os.chdir(_MOUNT_POINT)
    linux.pivot_root(".", ".")
    linux.umount2(".", linux.MNT_DETACH)
    os.chdir("/")
    linux.mount("pod-init", "/", "", linux.MS_REMOUNT | linux.MS_RDONLY | flags, "size=4k,nr_inodes=2")
