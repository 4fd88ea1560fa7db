"""What only root can copy: files of other owners, with capabilities, and beside devices."""

from __future__ import annotations

import os
from pathlib import Path

from criserver.kernel.copying import copy_tree

# struct vfs_ns_cap_data of revision 2, cap_net_bind_service permitted and effective (linux/capability.h).
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")


def test_owners_capabilities_and_no_devices(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "sub").mkdir(parents=True)
    target.mkdir()
    (source / "sub/program").write_text("#!")
    (source / "sub/program").chmod(0o755)
    (source / "sub/secret").touch(mode=0)
    (source / "link").symlink_to("sub")
    os.mknod(source / "null", 0o20666, os.makedev(1, 3))
    owners = {"": (1000, 1001), "sub": (2000, 0), "sub/program": (3000, 3001), "sub/secret": (9, 9), "link": (7, 8)}
    for name, owner in owners.items():
        os.lchown(source / name, *owner)
    (source / "sub/program").chmod(0o6755)
    os.setxattr(source / "sub/program", "security.capability", CAPABILITY)
    fd = os.open(source, os.O_RDONLY | os.O_DIRECTORY)
    try:
        copy_tree(fd, str(target))
    finally:
        os.close(fd)
    found = {name: os.lstat(target / name) for name in owners}
    assert {name: (status.st_uid, status.st_gid) for name, status in found.items()} == owners
    assert found["sub/program"].st_mode & 0o7777 == 0o6755
    assert os.getxattr(target / "sub/program", "security.capability") == CAPABILITY
    assert sorted(os.listdir(target)) == ["link", "sub"]
