"""The same tests as on a machine with cgroup v2 alone, where crun works too: in a mount namespace that shows no v1.

A machine that mounts v1 hierarchies has the v2 one as well; what it lacks there are controllers, which no test of
monitors and execs needs.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from criserver.kernel import cgroupfs

HERE = Path(__file__).parent
AGAIN = ("monitors/test_monitor.py", "monitors/test_execs.py", "cgroups/test_cgroupfs.py", "../kernel/test_cgroupfs.py")


@pytest.mark.slow
def test_with_v2_alone(tmp_path: Path) -> None:
    if not any(hierarchy.version == 1 for hierarchy in cgroupfs.hierarchies()):
        pytest.skip("this machine has cgroup v2 alone: the other tests have run on it")
    if shutil.which("unshare") is None:
        pytest.skip("unshare is missing (apt-get install util-linux)")
    mounts = "umount -R -l /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup || exit 75"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'again'}"]
    inner = subprocess.run(
        ["unshare", "-m", "--propagation=private", "sh", "-c", f'{mounts}; exec "$@"', "sh", *command, *AGAIN],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    if inner.returncode == 75:
        pytest.skip(f"cgroup2 cannot be mounted: {inner.stderr.strip()}")
    assert inner.returncode == 0, inner.stdout + inner.stderr
    assert "passed" in inner.stdout
