"""Cgroups of a cluster: the kubelet's, and those in which a node's server is accounted."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from tests.support.cluster.layout import Node


def make(path: str) -> list[str]:
    """Make a cgroup in every hierarchy, fit for processes; its directories."""
    directories = [hierarchy + path for hierarchy in hierarchies()]
    for hierarchy in hierarchies():
        os.makedirs(hierarchy + path, exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):
            _inherit(hierarchy, path, name)
    return directories


def hierarchies() -> list[str]:
    """Where cgroups are mounted, version 1 and 2."""
    lines = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [fields[4] for fields in lines if fields[fields.index("-") + 1] in ("cgroup", "cgroup2")]


def server_pids(node: Node) -> list[int]:
    """Processes of the server's side: daemon, zygote and monitors, or shims; not those of containers."""
    found: set[int] = set()
    for directory in _servers(node):
        with contextlib.suppress(OSError):
            found.update(map(int, Path(directory, "cgroup.procs").read_text().split()))
    return sorted(found)


def server_cpu_seconds(node: Node) -> float:
    """CPU time that these used, and all that they ever started beside containers: runc, plugins, helpers."""
    total = 0.0
    for directory in map(Path, _servers(node)):
        if (directory / "cpuacct.usage").exists():
            total += int((directory / "cpuacct.usage").read_text()) / 1e9
        elif (directory / "cpu.stat").exists() and "usage_usec" in (text := (directory / "cpu.stat").read_text()):
            total += int(text.split("usage_usec")[1].split()[0]) / 1e6
    return total


def _servers(node: Node) -> Iterator[str]:
    for hierarchy in {os.path.realpath(path) for path in hierarchies()}:
        for path in (node.server_cgroup, node.monitors_cgroup):
            if os.path.isdir(hierarchy + path):
                yield hierarchy + path


def _inherit(hierarchy: str, path: str, name: str) -> None:
    directory = Path(hierarchy)
    for part in Path(path.lstrip("/")).parts:
        parent, directory = directory, directory / part
        file = directory / name
        if file.exists() and not file.read_text().strip():
            file.write_text((parent / name).read_text())
