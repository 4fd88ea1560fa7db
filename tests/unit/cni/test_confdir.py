from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from cni.confdir import FILES_LIMIT, SETTLED_NS, ConfDir, load
from cni.errors import NetworkNotFound


def write(directory: Path, name: str, network: str, **more: Any) -> Path:
    document = {"cniVersion": "1.0.0", "name": network, "plugins": [{"type": "p"}]} | more
    path = directory / name
    path.write_text(json.dumps(document))
    return path


def names(directory: ConfDir) -> list[str]:
    return [network.name for network in directory.current().networks]


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    directory = tmp_path / "net.d"
    directory.mkdir()
    return directory


def test_files_are_taken_in_lexical_order_and_the_first_valid_is_the_default(conf: Path) -> None:
    write(conf, "20-b.conflist", "b")
    write(conf, "10-a.conflist", "a")
    (conf / "00-single.conf").write_text('{"name": "s", "type": "p"}')
    (conf / "05-single.json").write_text('{"name": "j", "type": "p"}')
    (conf / "01-other.txt").write_text("not looked at")
    (conf / ".02-hidden.conflist").write_text("an editor's")
    loaded = load(str(conf))
    assert [n.name for n in loaded.networks] == ["s", "j", "a", "b"]
    assert loaded.broken == ()
    assert loaded.network().name == "s"
    assert loaded.network("b").source == str(conf / "20-b.conflist")


def test_broken_files_are_reported_and_passed_over(conf: Path) -> None:
    (conf / "00.conflist").write_text("{")
    os.mkfifo(conf / "01.conflist")
    (conf / "02.conflist").mkdir()
    (conf / "03.conflist").symlink_to("nowhere")
    (conf / "04.conflist").write_bytes(b" " * (1 << 20) + b"{}")
    (conf / "05.conf").symlink_to("/dev/zero")
    write(conf, "06.conflist", "good")
    write(conf, "07.conflist", "good")
    loaded = load(str(conf))
    assert loaded.network().name == "good"
    words = [
        "not JSON",
        "not a regular file",
        "not a regular file",
        "No such file",
        "longer than",
        "not a regular file",
    ]
    words.append(f'network "good" is defined by {conf}/06.conflist already')
    assert len(loaded.broken) == len(words)
    for file, word in zip(loaded.broken, words, strict=True):
        assert word in str(file)
        assert file.path in str(file)


def test_what_cannot_be_found_is_told_with_what_is_there_and_why(conf: Path) -> None:
    write(conf, "10-a.conflist", "a")
    (conf / "20-b.conflist").write_text("{")
    with pytest.raises(NetworkNotFound) as caught:
        load(str(conf)).network("b")
    assert f'no network "b" in {conf}; there are a' in str(caught.value)
    assert "20-b.conflist: conf: not JSON" in str(caught.value)
    with pytest.raises(NetworkNotFound, match=r"no network configuration in .*net.d: .*No such file"):
        load(str(conf / "net.d")).network()


def test_a_network_may_have_its_own_directory_of_plugins(conf: Path) -> None:
    write(conf, "10-a.conflist", "a")
    write(conf, "20-b.conflist", "b", loadOnlyInlinedPlugins=True)
    for network in ("a", "b"):
        (conf / network).mkdir()
        (conf / network / "2.conf").write_text('{"type": "second"}')
        (conf / network / "1.conf").write_text('{"type": "first"}')
        (conf / network / "3.conflist").write_text("not looked at")
    loaded = load(str(conf))
    assert [p.type for p in loaded.network("a").plugins] == ["p", "first", "second"]
    assert [p.type for p in loaded.network("b").plugins] == ["p"]


def test_a_broken_plugin_in_the_own_directory_breaks_the_network(conf: Path) -> None:
    write(conf, "10-a.conflist", "a")
    (conf / "a").mkdir()
    (conf / "a" / "1.conf").write_text('{"type": "../evil"}')
    loaded = load(str(conf))
    assert loaded.networks == ()
    assert "a/1.conf" in str(loaded.broken[0])


def test_only_so_many_files_are_read(conf: Path) -> None:
    for number in range(FILES_LIMIT + 2):
        write(conf, f"{number:04}.conflist", f"n{number}")
    loaded = load(str(conf))
    assert len(loaded.networks) == FILES_LIMIT
    assert len(loaded.broken) == 2


def test_nothing_is_read_again_as_long_as_nothing_changes(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(conf, "10-a.conflist", "a")
    directory = ConfDir(str(conf), clock=lambda: time.time_ns() + SETTLED_NS)
    first = directory.current()
    monkeypatch.setattr("cni.confdir.load", lambda _: pytest.fail("read again"))
    assert directory.current() is first


def test_a_fresh_change_is_not_trusted_to_be_the_last(conf: Path) -> None:
    """Two writes of one size within a clock tick look the same to stat."""
    path = write(conf, "10-a.conflist", "a")
    directory = ConfDir(str(conf))
    assert names(directory) == ["a"]
    same = directory.current()
    assert directory.current() is same
    status = path.stat()
    write(conf, "10-a.conflist", "b")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert names(directory) == ["b"]


@pytest.fixture
def aged(conf: Path) -> ConfDir:
    """A directory that trusts every stat result at once: what it notices, it notices by stat."""
    return ConfDir(str(conf), clock=lambda: time.time_ns() + SETTLED_NS)


def test_files_that_come_change_and_go_are_noticed(conf: Path, aged: ConfDir) -> None:
    assert names(aged) == []
    path = write(conf, "10-a.conflist", "a")
    assert names(aged) == ["a"]
    write(conf, "10-a.conflist", "other")
    assert names(aged) == ["other"]
    write(conf, "05-first.conflist", "first")
    assert names(aged) == ["first", "other"]
    path.rename(conf / "20-a.conflist")
    assert aged.current().networks[1].source == str(conf / "20-a.conflist")
    (conf / "20-a.conflist").unlink()
    assert names(aged) == ["first"]


def test_a_directory_that_is_made_again_is_noticed(conf: Path, aged: ConfDir) -> None:
    write(conf, "10-a.conflist", "a")
    assert names(aged) == ["a"]
    shutil.rmtree(conf)
    assert names(aged) == []
    assert "No such file" in str(aged.current().broken[0])
    conf.mkdir()
    assert aged.current().broken == ()
    write(conf, "10-b.conflist", "b")
    assert names(aged) == ["b"]


def test_a_directory_that_is_replaced_in_one_step_is_noticed(conf: Path, aged: ConfDir, tmp_path: Path) -> None:
    write(conf, "10-a.conflist", "a")
    assert names(aged) == ["a"]
    other = tmp_path / "other"
    other.mkdir()
    write(other, "10-a.conflist", "b")
    conf.rename(tmp_path / "old")
    other.rename(conf)
    assert names(aged) == ["b"]


def test_changes_behind_links_and_in_own_directories_are_noticed(conf: Path, aged: ConfDir, tmp_path: Path) -> None:
    target = write(tmp_path, "target", "a")
    (conf / "10-a.conflist").symlink_to(target)
    assert names(aged) == ["a"]
    write(tmp_path, "target", "changed")
    assert names(aged) == ["changed"]
    (conf / "changed").mkdir()
    (conf / "changed" / "1.conf").write_text('{"type": "one"}')
    assert [p.type for p in aged.current().network().plugins] == ["p", "one"]
    (conf / "changed" / "1.conf").write_text('{"type": "other"}')
    assert [p.type for p in aged.current().network().plugins] == ["p", "other"]


def test_a_path_that_is_no_directory_is_reported(conf: Path) -> None:
    (conf / "file").touch()
    loaded = ConfDir(str(conf / "file")).current()
    assert "Not a directory" in str(loaded.broken[0])
