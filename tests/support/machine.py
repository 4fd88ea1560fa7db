"""What tests are told of the machine that they run on: `make test-vm` says it by the environment (hack/test-vm)."""

from __future__ import annotations

import os


def slowness() -> float:
    """How many times longer than usual things may take here (CRISERVER_TEST_SLOWNESS): an emulated machine's is 8."""
    return float(os.environ.get("CRISERVER_TEST_SLOWNESS", "1"))


def systemd_driver() -> bool:
    """Whether servers under test have the systemd driver, which is also what "auto" means where systemd runs."""
    return cgroup_driver() == "systemd" or (cgroup_driver() == "auto" and os.path.isdir("/run/systemd/system"))


def cgroup_driver() -> str:
    """`runtime.cgroup_driver` of the servers under test (CRISERVER_TEST_CGROUP_DRIVER)."""
    return os.environ.get("CRISERVER_TEST_CGROUP_DRIVER", "auto")


def cgroup_v2() -> bool:
    """Whether every controller is on cgroup v2."""
    return os.path.exists("/sys/fs/cgroup/cgroup.controllers")
