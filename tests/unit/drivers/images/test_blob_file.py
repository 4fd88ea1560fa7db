"""A file as a blob."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from criserver.drivers.images.blob_file import open_file


async def test_it_has_everything_at_once(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"content")
    async with open_file(str(tmp_path / "blob")) as stream:
        assert not stream.silent()
        await stream.finish()
        assert os.read(stream.fd, 100) == b"content"
    with pytest.raises(OSError, match="Bad file"):
        os.read(stream.fd, 1)


async def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="symbolic links"):
        async with open_file(str(tmp_path / "link")):
            pass
