"""What a tree takes on disk, counted when it is complete. Reads only."""

from __future__ import annotations

import os
import stat


def usage(root: bytes = b".") -> tuple[int, int]:
    """Bytes on disk and number of files below and with `root`, hard links counted once, as du(1) counts."""
    size = os.lstat(root).st_blocks * 512
    linked: set[int] = set()
    inodes = 1
    stack = [root]
    while stack:
        with os.scandir(stack.pop()) as children:
            for child in children:
                status = child.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    stack.append(child.path)
                elif status.st_nlink > 1:
                    if status.st_ino in linked:
                        continue
                    linked.add(status.st_ino)
                size += status.st_blocks * 512
                inodes += 1
    return size, inodes
