"""Take a cluster away, whatever is left of it: by its directory, its number and its mark, not by what ran well."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.cluster import network, runtimes
from tests.support.cluster.cgroups import hierarchies
from tests.support.cluster.layout import Cluster
from tests.support.cluster.processes import Failed, marked, stop, wait_until


def down(cluster: Cluster) -> None:
    """Pods first and by the CRI, so that their networks are given back; then every process; then what they lived in.

    Failed when something is left; the directory stays then, and `down` can be tried again.
    """
    for node in cluster.nodes:
        stop(cluster, f"{node.name}-kubelet", 5)
    for node in cluster.nodes:
        runtimes.empty(node)
        stop(cluster, runtimes.name(node))
    _kill(cluster)
    _remove_cgroups(cluster)
    network.unplug(cluster)
    for target in _mounts(cluster.directory):
        subprocess.run(["umount", "-l", target], check=False, capture_output=True)
    if problems := left(cluster):
        raise Failed("left behind: " + "; ".join(problems))
    if not network.others():
        restore_sysctls()
    shutil.rmtree(cluster.directory)


def left(cluster: Cluster) -> list[str]:
    """What a cluster that is down left on this host, its directory aside."""
    links = [cluster.bridge, *(node.link for node in cluster.nodes)]
    return [
        *(f"process {pid}" for pid in processes_of(cluster)),
        *(f"mount {target}" for target in _mounts(cluster.directory)),
        *(f"cgroup {path}" for path in _cgroups(cluster)),
        *(f"link {link}" for link in links if Path(f"/sys/class/net/{link}").exists()),
    ]


def processes_of(cluster: Cluster) -> list[int]:
    """Those that bear its mark, and those in cgroups of its pods."""
    found = set(marked(cluster.directory))
    for path in _cgroups(cluster):
        with contextlib.suppress(OSError):
            found.update(int(pid) for pid in Path(path, "cgroup.procs").read_text().split())
    return sorted(found)


def _kill(cluster: Cluster) -> None:
    def none_is_left() -> bool:
        pids = processes_of(cluster)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not pids

    for pid in marked(cluster.directory):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    with contextlib.suppress(Failed):
        wait_until(lambda: len(processes_of(cluster)) <= cluster.node_count, 5, "processes to end")
    wait_until(none_is_left, 20, "killed processes to end")


def _cgroups(cluster: Cluster) -> Iterator[str]:
    """Directories of its cgroups, children before parents."""
    tops = [cluster.cgroup, *(node.monitors_cgroup for node in cluster.nodes)]
    for top in (hierarchy + name for hierarchy in hierarchies() for name in tops):
        for directory, _, _ in os.walk(top, topdown=False):
            yield directory


def _remove_cgroups(cluster: Cluster) -> None:
    def removed() -> bool:
        for path in list(_cgroups(cluster)):
            with contextlib.suppress(OSError):
                os.rmdir(path)
        return not any(_cgroups(cluster))

    with contextlib.suppress(Failed):
        wait_until(removed, 10, "cgroups to be empty")


def _mounts(directory: Path) -> list[str]:
    targets = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [target for target in reversed(targets) if target.startswith(f"{directory}/")]


# What a kubelet sets for all of the host unless it may not start (container_manager_linux.go, setupKernelTunables).
_SYSCTLS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)


_SAVED = Path("/run/criserver-cluster-sysctls")
"""Of before the first cluster; the last one to go sets them back."""


def save_sysctls() -> None:
    """Remember what the kubelet is about to change."""
    for name in _SYSCTLS:
        path = _SAVED / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(Path("/proc/sys", name).read_text())


def restore_sysctls() -> None:
    """Give the host back what it had."""
    for name in _SYSCTLS:
        with contextlib.suppress(OSError):
            Path("/proc/sys", name).write_text((_SAVED / name).read_text())
    shutil.rmtree(_SAVED, ignore_errors=True)
