"""Files of an operator's directories: which are read, in which order, and when again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from criserver.drivers.injections.operator_files import MAX_BYTES, OperatorFile, OperatorFiles


class Parse:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, files: Sequence[OperatorFile]) -> list[tuple[str, str, int]]:
        self.calls += 1
        return [(os.path.basename(file.path), file.text or file.fault, file.priority) for file in files]


def test_order_and_what_counts_as_a_file(tmp_path: Path) -> None:
    for path in ("b/z.json", "a/y.json", "a/x.yaml", "a/.hidden.json", "a/note.txt"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(path)
    (tmp_path / "a/directory.json").mkdir()
    os.symlink("nowhere", tmp_path / "a/broken.json")
    os.symlink(tmp_path / "a/note.txt", tmp_path / "a/link.json")
    os.mkfifo(tmp_path / "a/fifo.json")
    with open(tmp_path / "b/large.json", "wb") as large:
        large.truncate(MAX_BYTES + 1)
    directories = [f"{tmp_path}/a", f"{tmp_path}/none", f"{tmp_path}/b"]
    found = OperatorFiles(lambda: directories, (".json", ".yaml"), Parse()).current()
    assert [(name, priority) for name, _, priority in found] == [
        ("fifo.json", 0),
        ("link.json", 0),
        ("x.yaml", 0),
        ("y.json", 0),
        ("large.json", 2),
        ("z.json", 2),
    ]
    texts = {name: text for name, text, _ in found}
    assert texts["link.json"] == "a/note.txt" and texts["z.json"] == "b/z.json"
    assert "not a regular file" in texts["fifo.json"] and "larger than" in texts["large.json"]


def test_again_only_when_something_changed(tmp_path: Path) -> None:
    parse = Parse()
    files = OperatorFiles(lambda: [str(tmp_path)], (".json",), parse)
    assert files.current() == [] and files.current() == [] and parse.calls == 1
    (tmp_path / "a.json").write_text("1")
    assert files.current() == [("a.json", "1", 0)] == files.current() and parse.calls == 2
    (tmp_path / "new").write_text("2")
    os.rename(tmp_path / "new", tmp_path / "a.json")
    assert files.current() == [("a.json", "2", 0)] and parse.calls == 3
    (tmp_path / "a.json").unlink()
    assert files.current() == [] and parse.calls == 4


def test_text_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xff")
    ((_, fault, _),) = OperatorFiles(lambda: [str(tmp_path)], (".json",), Parse()).current()
    assert "utf-8" in fault
