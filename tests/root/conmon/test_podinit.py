"""The pod init, attacked from a process inside its PID namespace."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conmon import linux, process
from conmon.client import ConmonError, PodInitSpec
from tests.support.machine import a_cgroup_of

_libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def namespaces(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Net, ipc and uts namespaces, held by a sleeping process."""
    holder = subprocess.Popen(["unshare", "--net", "--ipc", "--uts", "sleep", "1000"])
    try:
        while os.readlink(f"/proc/{holder.pid}/ns/uts") == os.readlink("/proc/self/ns/uts"):
            os.sched_yield()
        yield {kind: f"/proc/{holder.pid}/ns/{kind}" for kind in ("net", "ipc", "uts")}
    finally:
        holder.kill()
        holder.wait()


@pytest.fixture
async def pod(runc_world: Any, namespaces: dict[str, Any]) -> Any:
    """The pid of a pod init in these namespaces; ended afterwards."""
    pid, start = await runc_world.zygote.pod_init(PodInitSpec(id="pod", **namespaces))
    assert process.starttime(pid) == start
    yield pid
    process.send(pid, signal.SIGKILL)


def inside(pid: int, attack: Callable[[], str], uid: int = 0) -> str:
    """What *attack* returns in a new process of *pid*'s PID namespace with a /proc of that, as *uid*, and without
    CAP_SYS_PTRACE, as in a container."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            namespace = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY)
            linux.setns(namespace, linux.CLONE_NEWPID)
            linux.unshare(linux.CLONE_NEWNS)
            grandchild = os.fork()
            if grandchild == 0:
                linux.mount("none", "/", "", linux.MS_REC | linux.MS_SLAVE)
                linux.mount("proc", "/proc", "proc", 0)
                if uid:
                    os.setgroups([])
                    os.setresgid(uid, uid, uid)
                    os.setresuid(uid, uid, uid)
                else:
                    _drop_ptrace()
                os.write(writer, attack().encode())
                os._exit(0)
            os.waitpid(grandchild, 0)
        except BaseException as error:
            os.write(writer, f"test failed: {error!r}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        text = file.read().decode()
    os.waitpid(child, 0)
    assert not text.startswith("test failed"), text
    return text


def _drop_ptrace() -> None:
    """All capabilities but CAP_SYS_PTRACE (19), CAP_SYS_ADMIN (21) and CAP_PERFMON (38): a generous container."""
    status = Path("/proc/self/status").read_text()
    permitted = int(next(line for line in status.splitlines() if line.startswith("CapPrm")).split()[1], 16)
    keep = permitted & ~(1 << 19 | 1 << 21 | 1 << 38)
    header = (0x20080522).to_bytes(4, "little") + bytes(4)
    low, high = (keep & 0xFFFFFFFF).to_bytes(4, "little"), (keep >> 32).to_bytes(4, "little")
    assert _libc.capset(header, low * 2 + bytes(4) + high * 2 + bytes(4)) == 0


def _try(*paths: str) -> str:
    """What can be read of *paths*."""
    found = []
    for path in paths:
        try:
            if path.endswith(("/root", "/fd", "/map_files")):
                found += [f"{path}: {name}" for name in os.listdir(path)]
            elif path.endswith(("/exe", "/cwd")) or "/ns/" in path:
                found.append(f"{path}: {os.readlink(path)}")
            else:
                with open(path, "rb") as file:
                    content = file.read(100)
                if content:
                    found.append(f"{path}: {content!r}")
        except OSError:
            continue
    return "\n".join(found)


SECRETS = [f"/proc/1/{name}" for name in ("root", "cwd", "exe", "fd", "environ", "mem", "maps", "map_files", "ns/net")]


@pytest.mark.parametrize("uid", [0, 65535, 1000])
def test_nothing_to_read(pod: int, uid: int) -> None:
    assert inside(pod, lambda: _try(*SECRETS), uid) == ""


@pytest.mark.parametrize("uid", [0, 65535])
def test_ptrace_is_refused(pod: int, uid: int) -> None:
    def attack() -> str:
        return f"{_libc.ptrace(16, 1, 0, 0)} {os.strerror(ctypes.get_errno())}"

    assert inside(pod, attack, uid) == "-1 Operation not permitted"


@pytest.mark.parametrize("uid", [0, 65535])
def test_no_signal_ends_or_stops_it(pod: int, uid: int) -> None:
    def attack() -> str:
        for signum in signal.valid_signals():
            os.kill(1, signum)
        return "sent"

    assert inside(pod, attack, uid) == "sent"
    assert Path(f"/proc/{pid}/stat" if (pid := pod) else "").read_text().rpartition(") ")[2][0] == "S"


async def test_reaps_orphans(pod: int) -> None:
    def attack() -> str:
        for _ in range(20):
            if os.fork() == 0:
                if os.fork() == 0:
                    os._exit(0)
                os._exit(0)
        while True:
            try:
                os.wait()
            except ChildProcessError:
                break
        for _ in range(1000):
            if not _zombies():
                return "none"
            time.sleep(0.005)
        return _zombies()

    def _zombies() -> str:
        return "".join(state for pid in os.listdir("/proc") if pid.isdecimal() and ") Z " in (state := _stat(pid)))

    def _stat(pid: str) -> str:
        try:
            return Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return ""  # reaped between the listing and the reading

    assert inside(pod, attack) == "none"


def test_it_is_what_it_says(pod: int, namespaces: dict[str, str]) -> None:
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pod}/status").read_text().splitlines() if ":\t" in line
    )
    assert status["Name"] == "pod-init"
    assert status["Uid"].split() == status["Gid"].split() == ["65535"] * 4
    assert status["Groups"].strip() == ""
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert status["NSpid"].split() == [str(pod), "1"]
    assert os.listdir(f"/proc/{pod}/fd") == []
    assert os.listdir(f"/proc/{pod}/root") == []
    mounts = Path(f"/proc/{pod}/mountinfo").read_text().splitlines()
    assert len(mounts) == 1 and " / / ro," in mounts[0]
    for kind, path in namespaces.items():
        assert os.readlink(f"/proc/{pod}/ns/{kind}") == os.readlink(path)
    assert os.readlink(f"/proc/{pod}/ns/pid") != os.readlink("/proc/self/ns/pid")


def test_its_command_line_tells_nothing_of_the_host(pod: int) -> None:
    assert inside(pod, lambda: Path("/proc/1/cmdline").read_text().rstrip("\0")) == "pod-init"


async def test_killed_from_outside_it_ends_the_namespace(runc_world: Any, namespaces: dict[str, Any]) -> None:
    pid, _ = await runc_world.zygote.pod_init(PodInitSpec(id="pod", **namespaces))
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(5):
        while process.starttime(pid):  # the zygote reaps it
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("length", "uid"), [(65536, 165535), (100, 100099)])
async def test_user_namespace(runc_world: Any, length: int, uid: int) -> None:
    if not os.path.exists("/proc/self/ns/user"):
        pytest.skip("this kernel has no user namespaces")
    holder = subprocess.Popen(["unshare", "--user", "sleep", "1000"])
    try:
        while os.readlink(f"/proc/{holder.pid}/ns/user") == os.readlink("/proc/self/ns/user"):
            await asyncio.sleep(0.01)
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{holder.pid}/{name}").write_text(f"0 100000 {length}")
        spec = PodInitSpec(id="pod", user=f"/proc/{holder.pid}/ns/user")
        pid, _ = await runc_world.zygote.pod_init(spec)
        try:
            assert f"Uid:\t{uid}\t" in Path(f"/proc/{pid}/status").read_text()
            assert os.readlink(f"/proc/{pid}/ns/user") == os.readlink(f"/proc/{holder.pid}/ns/user")
        finally:
            os.kill(pid, signal.SIGKILL)
    finally:
        holder.kill()
        holder.wait()


async def test_failure_names_the_namespace(runc_world: Any) -> None:
    with pytest.raises(ConmonError, match=r"pod init of pod: net namespace /no/such/ns: No such file"):
        await runc_world.zygote.pod_init(PodInitSpec(id="pod", net="/no/such/ns"))
    with pytest.raises(ConmonError, match=r"uts namespace /proc/self/ns/net: .*Invalid argument"):
        await runc_world.zygote.pod_init(PodInitSpec(id="pod", uts="/proc/self/ns/net"))


async def test_joins_the_given_cgroup(runc_world: Any) -> None:
    cgroup = a_cgroup_of() / f"criserver-test-conmon-pod-{os.getpid()}"
    cgroup.mkdir()
    try:
        pid, _ = await runc_world.zygote.pod_init(PodInitSpec(id="pod", cgroup_procs=(f"{cgroup}/cgroup.procs",)))
        assert str(pid) in (cgroup / "cgroup.procs").read_text().split()
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(5):
            while (cgroup / "cgroup.procs").read_text():
                await asyncio.sleep(0.01)
    finally:
        cgroup.rmdir()
