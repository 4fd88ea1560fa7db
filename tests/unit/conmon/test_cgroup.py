"""The memory cgroup, from recorded trees."""

from __future__ import annotations

import pytest

from conmon.cgroup import memory_directory

V1 = """\
30 25 0:26 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
35 25 0:31 / /sys/fs/cgroup/memory rw,relatime shared:5 - cgroup cgroup rw,memory
40 25 0:36 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
V2 = "29 24 0:25 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
KIND = "29 24 0:25 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw\n"
SPACED = r"29 24 0:25 / /mnt/a\040b\134c rw - cgroup2 cgroup rw" + "\n"


@pytest.mark.parametrize(
    ("cgroup", "mounts", "expected"),
    [
        ("4:memory:/pods/c\n0::/\n", V1, (1, "/sys/fs/cgroup/memory/pods/c")),
        ("4:cpu,memory:/a\n", V1, (1, "/sys/fs/cgroup/memory/a")),
        ("4:memory:/\n", V1, (1, "/sys/fs/cgroup/memory")),
        ("0::/kubepods.slice/x.scope\n", V2, (2, "/sys/fs/cgroup/kubepods.slice/x.scope")),
        ("0::/\n", V2, (2, "/sys/fs/cgroup")),
        ("0::/docker/abc/kubelet/x\n", KIND, (2, "/sys/fs/cgroup/kubelet/x")),
        ("0::/docker/abc\n", KIND, (2, "/sys/fs/cgroup")),
        ("0::/docker/abcd\n", KIND, None),
        ("0::/x\n", SPACED, (2, "/mnt/a b\\c/x")),
        ("4:memory:/a\n", V2, None),
        ("", V2, None),
        ("garbage", "garbage\n - \n", None),
        ("1:name=systemd:/a:b\n0::/a:b\n", V2, (2, "/sys/fs/cgroup/a:b")),
    ],
)
def test_recorded_trees(cgroup: str, mounts: str, expected: tuple[int, str] | None) -> None:
    assert memory_directory(cgroup, mounts) == expected
