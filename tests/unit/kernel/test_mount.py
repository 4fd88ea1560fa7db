"""The mount table, as proc_pid_mountinfo(5) describes it."""

from __future__ import annotations

from criserver.kernel.mount import MountInfo, mounts, parse_mountinfo

TABLE = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 propagate_from:2 - ext3 /dev/root rw,errors=continue
40 31 0:37 / /with\040space\011tab\134backslash\012line rw - tmpfs a\040b rw,size=4k
41 31 0:4 net:[4026532281] /run/netns/x rw shared:9 - nsfs nsfs rw
42 31 0:50 / /rootfs rw - overlay overlay rw,lowerdir=2:1,upperdir=../containers/a\054b/upper
"""


def test_fields() -> None:
    entries = parse_mountinfo(TABLE)
    assert entries[1] == MountInfo(
        mount_id=36,
        parent_id=35,
        device="98:0",
        root="/mnt1",
        target="/mnt2",
        options=("rw", "noatime"),
        optional=("master:1", "propagate_from:2"),
        fstype="ext3",
        source="/dev/root",
        super_options=("rw", "errors=continue"),
    )


def test_escapes() -> None:
    entry = parse_mountinfo(TABLE)[2]
    assert entry.target == "/with space\ttab\\backslash\nline"
    assert entry.source == "a b"


def test_namespace_mount() -> None:
    entry = parse_mountinfo(TABLE)[3]
    assert (entry.fstype, entry.root, entry.target, entry.optional) == (
        "nsfs",
        "net:[4026532281]",
        "/run/netns/x",
        ("shared:9",),
    )


def test_this_process() -> None:
    assert "/proc" in {entry.target for entry in mounts()}
