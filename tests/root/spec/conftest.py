"""A small root file system, a pod's namespaces and a cgroup, for real runtimes to take the documents."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from criserver.drivers.host.facts import Facts
from criserver.spec.assemble import build
from criserver.spec.wish import HostFacts, SpecWish
from tests.support import oci_schema
from tests.support.machine import cgroup_tops

APPLETS = ("cat", "echo", "grep", "id", "ls", "mount", "pwd", "sh", "sleep", "stat", "touch", "true")
USERNS_ROOT = 100000


@dataclass
class Pod:
    """A directory with a rootfs and the pod's files, namespaces held by a process, and a cgroup of its own."""

    path: Path
    holder: int
    cgroup: str
    runtime: tuple[str, ...]
    host: HostFacts = field(repr=False)

    @property
    def namespaces(self) -> dict[str, str]:
        """Kind → path; the PID namespace is the one in which the holder's child is init."""
        here = f"/proc/{self.holder}/ns"
        return {kind: f"{here}/{kind}" for kind in ("net", "ipc", "uts", "user")} | {"pid": f"{here}/pid_for_children"}

    def wish(self, wish: SpecWish) -> SpecWish:
        """`wish` in this pod: root, namespaces, host and cgroup are real."""
        name = f"c-{secrets.token_hex(4)}"
        return replace(
            wish,
            container_id=name,
            rootfs=str(self.path / "rootfs"),
            cgroups_path=f"/{self.cgroup}/{name}",
            namespaces=self.namespaces,
            host=replace(self.host, idmapped_mounts=wish.host.idmapped_mounts),
        )

    def run(self, wish: SpecWish) -> subprocess.CompletedProcess[str]:
        """The container run to its end."""
        bundle = self._bundle(wish)
        command = [*self.runtime, "run", "--bundle", bundle, wish.container_id]
        try:
            return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        finally:
            self.delete(wish)

    def create(self, wish: SpecWish) -> str:
        """What the runtime says to `create`: empty when it takes the document. The container is left as created."""
        command = [*self.runtime, "create", "--bundle", self._bundle(wish), wish.container_id]
        # The init keeps the streams, so they must not be pipes.
        with (self.path / "said").open("w+") as said:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, check=False, timeout=60)
            said.seek(0)
            return said.read().strip() or f"exit code {done.returncode}" if done.returncode else ""

    def exec(self, wish: SpecWish, process: dict[str, Any]) -> str:
        """The output of an exec of that process document."""
        (self.path / "process.json").write_text(json.dumps(process))
        command = [*self.runtime, "exec", "--process", str(self.path / "process.json"), wish.container_id]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    def delete(self, wish: SpecWish) -> None:
        """Nothing of the container is left."""
        subprocess.run([*self.runtime, "delete", "--force", wish.container_id], capture_output=True, check=False)

    def _bundle(self, wish: SpecWish) -> str:
        bundle = self.path / wish.container_id
        bundle.mkdir()
        document = json.dumps(build(wish))
        assert oci_schema.faults([document]) == []
        (bundle / "config.json").write_text(document)
        return str(bundle)


def rootfs(path: Path) -> None:
    """busybox and empty directories."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox is missing: apt-get install busybox-static")
    for name in ("bin", "dev", "etc", "proc", "sys", "tmp", "usr"):
        (path / name).mkdir(parents=True)
    shutil.copy(busybox, path / "bin/busybox")
    for applet in APPLETS:
        os.link(path / "bin/busybox", path / "bin" / applet)


def _hold(*, user: bool) -> subprocess.Popen[bytes]:
    """A process in namespaces of its own; it has said so when this returns."""
    command = ["unshare", "--net", "--ipc", "--uts", "--pid", "--fork", "--kill-child", *(["--user"] if user else [])]
    holder = subprocess.Popen([*command, "sh", "-c", "echo; exec sleep 600"], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    if user:
        for file in ("uid_map", "gid_map"):
            Path(f"/proc/{holder.pid}/{file}").write_text(f"0 {USERNS_ROOT} 65536")
    return holder


def _facts() -> HostFacts:
    """This host's facts. Without a hugetlb hierarchy of v1, a runtime on v1 limits no huge pages, whatever v2 has."""
    facts = Facts()()
    limits = facts.cgroup_v2 or Path("/sys/fs/cgroup/hugetlb").is_dir()
    return facts if limits else replace(facts, hugepage_sizes=frozenset())


def _remove_cgroup(name: str) -> None:
    for hierarchy in cgroup_tops():
        top = hierarchy / name
        if top.is_dir():
            for path in sorted((p for p in top.rglob("*") if p.is_dir()), reverse=True):
                path.rmdir()
            top.rmdir()


def _crun() -> tuple[str, ...]:
    """crun refuses a cgroup v2 hierarchy beside those of v1 when it has a controller: there, it gets not to see it."""
    unified = Path("/sys/fs/cgroup/unified/cgroup.controllers")
    if not unified.exists() or not unified.read_text().strip():
        return ("crun",)
    return ("unshare", "--mount", "sh", "-c", 'umount /sys/fs/cgroup/unified; exec crun "$@"', "crun")


@pytest.fixture(scope="session", params=["runc", "crun"])
def runtime(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The command of a runtime that runs here, with a state directory of its own."""
    name = str(request.param)
    if shutil.which(name) is None:
        pytest.skip(f"{name} is missing: apt-get install {name}")
    command = _crun() if name == "crun" else (name,)
    return (*command, "--root", str(tmp_path_factory.mktemp(name)))


@pytest.fixture
def pod(runtime: tuple[str, ...], tmp_path: Path) -> Iterator[Pod]:
    yield from _pod(runtime, tmp_path, user=False)


@pytest.fixture
def userns_pod(runtime: tuple[str, ...], tmp_path: Path) -> Iterator[Pod]:
    """A pod whose namespaces belong to a user namespace of its own, and so does its root."""
    for pod in _pod(runtime, tmp_path, user=True):
        for path in (pod.path, *pod.path.rglob("*")):
            os.chown(path, USERNS_ROOT, USERNS_ROOT)
        yield pod


def _pod(runtime: tuple[str, ...], path: Path, *, user: bool) -> Iterator[Pod]:
    rootfs(path / "rootfs")
    # pytest's directories are closed to others, and the ids of a user namespace are others.
    for parent in (path, *path.parents[:2]):
        parent.chmod(0o711)
    holder, cgroup = _hold(user=user), f"criserver-spec-{secrets.token_hex(4)}"
    try:
        yield Pod(path, holder.pid, cgroup, runtime, _facts())
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.communicate()
        _remove_cgroup(cgroup)
