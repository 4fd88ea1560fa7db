"""What tests are told of the machine that they run on: `make test-vm` says it by the environment (hack/test-vm)."""

from __future__ import annotations

import os


def slowness() -> float:
    """How many times longer than usual things may take here (CRISERVER_TEST_SLOWNESS): an emulated machine's is 8."""
    return float(os.environ.get("CRISERVER_TEST_SLOWNESS", "1"))


def cgroup_driver() -> str:
    """`runtime.cgroup_driver` of the servers under test (CRISERVER_TEST_CGROUP_DRIVER)."""
    return os.environ.get("CRISERVER_TEST_CGROUP_DRIVER", "auto")
