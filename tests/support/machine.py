"""What tests are told of the machine that they run on: `make test-vm` says it by the environment (hack/test-vm)."""

from __future__ import annotations

import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def slowness() -> float:
    """How many times longer than usual things may take here (CRISERVER_TEST_SLOWNESS): an emulated machine's is 8."""
    return float(os.environ.get("CRISERVER_TEST_SLOWNESS", "1"))


def systemd_driver() -> bool:
    """Whether servers under test have the systemd driver, which is also what "auto" means where systemd runs."""
    return cgroup_driver() == "systemd" or (cgroup_driver() == "auto" and os.path.isdir("/run/systemd/system"))


def cgroup_driver() -> str:
    """`runtime.cgroup_driver` of the servers under test (CRISERVER_TEST_CGROUP_DRIVER)."""
    return os.environ.get("CRISERVER_TEST_CGROUP_DRIVER", "auto")


def cgroup_tops() -> list[Path]:
    """Where hierarchies of cgroups may be mounted."""
    return [CGROUPS, *(path for path in CGROUPS.iterdir() if path.is_dir())]


def a_cgroup_of(pid: int | None = None) -> Path:
    """The cgroup of a process, the top's without one: v2's, or that of v1 which counts processes and has no limits."""
    hierarchy = CGROUPS / ("" if cgroup_v2() else "pids")
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines() if pid else []
    paths = {controllers: path for _, controllers, path in (line.split(":", 2) for line in lines)}
    return hierarchy / paths.get("" if cgroup_v2() else "pids", "/").lstrip("/")


def cgroup_v2() -> bool:
    """Whether every controller is on cgroup v2."""
    return (CGROUPS / "cgroup.controllers").exists()
