"""What this host and this daemon can do, read for `spec` (see `spec.wish.HostFacts`)."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from criserver.drivers.host import apparmor
from criserver.drivers.host.devices import walk
from criserver.errors import ConfigError
from criserver.kernel import cgroupfs, proc
from criserver.kernel.cgroupfs import Hierarchy
from criserver.spec.capabilities import ALL
from criserver.spec.wish import HostFacts

SECCOMP_PROFILES = ("/etc/containers/seccomp.json", "/usr/share/containers/seccomp.json")
SECCOMP_LIMIT = 1 << 20
RESCTRL = "/sys/fs/resctrl"


class Facts:
    """Reads once what stays the same while the daemon runs; devices, RDT and AppArmor's profiles at each call."""

    def __init__(self) -> None:
        """ConfigError for a seccomp profile of the host that cannot be used."""
        hierarchies = cgroupfs.hierarchies()
        status = proc.status()
        v2 = all(hierarchy.version == 2 for hierarchy in hierarchies)
        self._steady = HostFacts(
            cgroup_v2=v2,
            cgroup_namespaces=os.path.exists("/proc/self/ns/cgroup"),
            capabilities=_capabilities(int(status["CapPrm"], 16) & int(status["CapBnd"], 16)),
            oom_score_adj=int(_text("/proc/self/oom_score_adj")),
            kernel=kernel_version(platform.release()),
            machine=platform.machine(),
            seccomp="Seccomp" in status,
            seccomp_profile=seccomp_profile(SECCOMP_PROFILES),
            selinux=os.path.exists("/sys/fs/selinux/enforce"),
            swap_accounting=v2 or os.path.exists("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes"),
            hugepage_sizes=_hugepages() if _limits_hugepages(hierarchies, v2) else frozenset(),
        )

    def __call__(self) -> HostFacts:
        """The facts as of now."""
        profiles = apparmor.loaded()
        return replace(
            self._steady,
            devices=tuple(walk("/dev")),
            rdt_classes=rdt_classes(RESCTRL),
            apparmor_profiles=profiles,
            apparmor_default=apparmor.DEFAULT if apparmor.DEFAULT in (profiles or ()) else "",
        )


def kernel_version(release: str) -> tuple[int, int]:
    """Major and minor of uname(2)'s release, which goes on as each distribution likes: "6.1+", "5.15-rc2"."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _limits_hugepages(hierarchies: Sequence[Hierarchy], v2: bool) -> bool:
    # On a mix of both versions the runtime works on v1 and does not see what v2 has.
    return any("hugetlb" in each.controllers for each in hierarchies if v2 or each.version == 1)


def _capabilities(bits: int) -> frozenset[str]:
    return frozenset(name for number, name in enumerate(ALL) if bits >> number & 1)


def seccomp_profile(paths: Sequence[str]) -> Mapping[str, Any] | None:
    """The first profile of the host that there is; ConfigError when it is none: who wrote it wants to know."""
    for path in paths:
        if text := _text(path, SECCOMP_LIMIT):
            try:
                profile = json.loads(text)
            except ValueError as error:
                raise ConfigError(f"{path} is not JSON, or larger than {SECCOMP_LIMIT} bytes: {error}") from error
            if not isinstance(profile, dict):
                raise ConfigError(f"{path} is no seccomp profile: give a JSON object")
            return profile
    return None


def rdt_classes(top: str) -> frozenset[str] | None:
    """The classes (CLOSes) of resctrl, directories with a schemata file of their own; None when it is not mounted."""
    if not os.path.exists(f"{top}/schemata"):
        return None
    return frozenset(name for name in os.listdir(top) if os.path.exists(f"{top}/{name}/schemata"))


def _hugepages() -> frozenset[str]:
    try:
        names = os.listdir("/sys/kernel/mm/hugepages")
    except FileNotFoundError:
        return frozenset()
    return frozenset(_size(int(name.removeprefix("hugepages-").removesuffix("kB"))) for name in names)


def _size(kilobytes: int) -> str:
    return f"{kilobytes >> 20}GB" if kilobytes >= 1 << 20 else f"{kilobytes >> 10}MB"


def _text(path: str, limit: int = 4096) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(limit)
    except OSError:
        return ""
