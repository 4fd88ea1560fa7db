"""Usage is what du(1) counts."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from criserver.drivers.unpack.usage import usage


def du(path: Path, *options: str) -> int:
    listing = subprocess.run(["du", "-s", *options, path], check=True, capture_output=True, text=True)
    return int(listing.stdout.split()[0])


def test_as_du_counts(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"{number % 7}").mkdir(exist_ok=True)
        (tmp_path / f"{number % 7}" / f"{number}").write_bytes(b"x" * (number * 37))
    os.link(tmp_path / "0/7", tmp_path / "1/hard")
    (tmp_path / "soft").symlink_to("0/7")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "sparse").open("wb") as sparse:
        sparse.truncate(1 << 30)
    assert usage(os.fsencode(tmp_path)) == (du(tmp_path, "-B1"), du(tmp_path, "--inodes"))
