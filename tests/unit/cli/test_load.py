from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from criserver.cli import load
from criserver.errors import FailedPrecondition


def test_the_path_is_made_absolute_and_images_are_returned() -> None:
    asked: list[tuple[str, dict[str, str]]] = []

    def ask(method: str, request: dict[str, str]) -> dict[str, object]:
        asked.append((method, request))
        return {"images": [{"id": "sha256:1", "names": ["a:1", "a:2"]}]}

    client = SimpleNamespace(ask=ask)
    assert load.load(client, "x.tar") == [("sha256:1", ["a:1", "a:2"])]  # type: ignore[arg-type]
    assert asked == [("Load", {"path": os.path.join(os.getcwd(), "x.tar")})]


def test_standard_input_is_a_file_for_as_long_as_it_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "_SPOOL", str(tmp_path))
    data = os.urandom(3 << 20)
    with load._named("-", io.BytesIO(data)) as path:
        assert os.path.dirname(path) == str(tmp_path)
        assert Path(path).read_bytes() == data
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert list(tmp_path.iterdir()) == []
    with load._named("x.tar", io.BytesIO()) as path:
        assert path == "x.tar"


def test_a_copy_that_cannot_be_made_is_told_and_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "_SPOOL", str(tmp_path))

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(FailedPrecondition, match="cannot be kept in .*: No space left"), load._named("-", Broken()):
        pass
    assert list(tmp_path.iterdir()) == []
