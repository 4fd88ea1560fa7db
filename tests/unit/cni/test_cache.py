from __future__ import annotations

import base64
import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cni.attachment import Attachment
from cni.cache import Cache, file_name, key_of, parse
from cni.errors import InvalidParameter, IOFailure
from cni.result import from_json
from tests.unit.cni.conftest import attachment, caught, conflist

RESULT = from_json({"cniVersion": "0.4.0", "ips": [{"version": "4", "address": "10.0.0.2/24"}], "vendor": 1}, "0.4.0")
FULL = attachment(args=(("K8S_POD_NAME", "web"),), capability_args={"portMappings": [{"hostPort": 1}]})


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(str(tmp_path / "cache"))


def only_file(cache: Cache) -> Path:
    (path,) = Path(cache.directory).iterdir()
    return path


def test_everything_of_an_attachment_comes_back(cache: Cache) -> None:
    config = conflist("net", cniVersions=["0.4.0"])
    cache.store(config, FULL, RESULT)
    cached = cache.load("net", "c1", "eth0")
    assert cached is not None
    assert (cached.network, cached.attachment, cached.result, cached.problem) == ("net", FULL, RESULT, "")
    assert cached.result is not None
    assert cached.result.raw == RESULT.raw
    assert cached.config is not None
    assert (cached.config.plugins, cached.config.versions) == (config.plugins, config.versions)


def test_the_content_is_that_of_libcnis_cache(cache: Cache) -> None:
    cache.store(conflist(), FULL, RESULT)
    document = json.loads(only_file(cache).read_bytes())
    config = json.loads(base64.b64decode(document.pop("config")))
    assert config["name"] == "net"
    assert document == {
        "kind": "cniCacheV1",
        "networkName": "net",
        "containerId": "c1",
        "ifName": "eth0",
        "netns": FULL.netns,
        "cniArgs": [["K8S_POD_NAME", "web"]],
        "capabilityArgs": {"portMappings": [{"hostPort": 1}]},
        "result": dict(RESULT.raw),
    }


def test_directory_and_files_are_private(cache: Cache) -> None:
    cache.store(conflist(), FULL, None)
    assert Path(cache.directory).stat().st_mode & 0o777 == 0o700
    assert only_file(cache).stat().st_mode & 0o777 == 0o600
    assert only_file(cache).name == "net:c1:eth0.json"


def test_an_add_that_was_only_begun_has_no_result(cache: Cache) -> None:
    cache.store(conflist(), FULL, None)
    cached = cache.load("net", "c1", "eth0")
    assert cached is not None
    assert cached.config is not None
    assert cached.result is None
    cache.store(conflist(), FULL, RESULT)
    again = cache.load("net", "c1", "eth0")
    assert again is not None
    assert again.result == RESULT


def test_removing_is_repeatable_and_needs_no_directory(cache: Cache) -> None:
    cache.remove("net", "c1", "eth0")
    assert cache.load("net", "c1", "eth0") is None
    assert cache.attachments() == ()
    cache.store(conflist(), FULL, None)
    cache.remove("net", "c1", "eth0")
    cache.remove("net", "c1", "eth0")
    assert cache.load("net", "c1", "eth0") is None


def test_attachments_are_selected_and_similar_names_kept_apart(cache: Cache) -> None:
    """With a hyphen between the parts, as libcni has it, the first two would share one file."""
    for network, container_id, ifname in (("a", "b-c", "eth0"), ("a-b", "c", "eth0"), ("a", "b-c", "eth1")):
        cache.store(conflist(network), Attachment(container_id, "/n", ifname), RESULT)
    (Path(cache.directory) / ".draft").touch()
    (Path(cache.directory) / "stray").touch()

    def keys(**select: str) -> list[tuple[str, str, str]]:
        return [(c.network, c.attachment.container_id, c.attachment.ifname) for c in cache.attachments(**select)]

    assert keys() == [("a", "b-c", "eth0"), ("a", "b-c", "eth1"), ("a-b", "c", "eth0")]
    assert keys(network="a-b") == [("a-b", "c", "eth0")]
    assert keys(container_id="b-c") == [("a", "b-c", "eth0"), ("a", "b-c", "eth1")]


def corrupt(document: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps(document | changes).encode()


def encoded(document: dict[str, Any]) -> str:
    return base64.b64encode(json.dumps(document).encode()).decode()


def test_a_broken_file_still_tells_whose_it_is(cache: Cache) -> None:
    cache.store(conflist(), FULL, RESULT)
    path = only_file(cache)
    good = json.loads(path.read_bytes())
    for data, words in (
        (b"", "not JSON"),
        (path.read_bytes()[:200], "not JSON"),
        (corrupt(good, kind="other"), "cache: is of"),
        (corrupt(good, containerId="c2"), "cache: is of"),
        (b"[]", "must be an object"),
        (corrupt(good, config="!"), "base64"),
        (corrupt(good, config=encoded({"name": "net"})), "has no plugins"),
        (corrupt(good, config=encoded({"name": "other", "plugins": [{"type": "p"}]})), "is of network 'other'"),
        (corrupt(good, cniArgs=[["a"]]), "cniArgs: must be a list of pairs"),
        (corrupt(good, cniArgs=5), "cniArgs"),
        (corrupt(good, cniArgs=[["K", "a;b"]]), "CNI_ARGS value"),
        (corrupt(good, result={"ips": 1}), "result.ips"),
        (corrupt(good, netns="relative"), "netns"),
    ):
        path.write_bytes(data)
        cached = cache.load("net", "c1", "eth0")
        assert cached is not None
        assert (cached.config, cached.result) == (None, None)
        assert cached.problem.startswith("net:c1:eth0.json: ")
        assert words in cached.problem
        assert [c.attachment.container_id for c in cache.attachments()] == ["c1"]


def test_only_regular_files_are_read(cache: Cache, tmp_path: Path) -> None:
    cache.store(conflist(), FULL, RESULT)
    path = only_file(cache)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    cached = cache.load("net", "c1", "eth0")
    assert cached is not None
    assert "symbolic links" in cached.problem
    path.unlink()
    os.mkfifo(path)
    cached = cache.load("net", "c1", "eth0")
    assert cached is not None
    assert "not a regular file" in cached.problem


def test_a_disk_that_refuses_is_an_io_failure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = Cache(str(tmp_path / "file"))
    for attempt in (
        lambda: cache.store(conflist(), FULL, None),
        cache.attachments,
        lambda: cache.remove("net", "c1", "eth0"),
    ):
        with pytest.raises(IOFailure, match=r"attachment cache .* cannot be"):
            attempt()


def test_names_that_no_file_system_takes_are_refused_before() -> None:
    assert key_of(file_name("n" * 100, "c" * 128, "eth0")) == ("n" * 100, "c" * 128, "eth0")
    with pytest.raises(InvalidParameter, match="too long together"):
        file_name("n" * 128, "c" * 128, "eth0")


@pytest.mark.parametrize("name", ["a:b.json", "a:b:c:d.json", "a:b:eth0", "-:b:eth0.json", "a::eth0.json", "a:b:.json"])
def test_other_files_have_no_key(name: str) -> None:
    assert key_of(name) is None


@given(
    st.binary(max_size=80),
    st.dictionaries(st.sampled_from(["cniArgs", "result", "config", "netns"]), st.text() | st.none()),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_content_is_an_attachment_or_a_cni_error(data: bytes, changes: dict[str, Any]) -> None:
    for content in (
        data,
        corrupt({"kind": "cniCacheV1", "networkName": "n", "containerId": "c", "ifName": "i"}, **changes),
    ):
        caught(partial(parse, content, "n", "c", "i"))


def test_drafts_of_a_writer_that_was_killed_are_dropped(cache: Cache) -> None:
    cache.store(conflist(), FULL, RESULT)
    kept = only_file(cache)
    directory = Path(cache.directory)
    (directory / f".{file_name('net', 'c2', 'eth0')}").touch()
    (directory / f".{file_name('net', 'c3', 'eth0')}").touch()
    cache.drop_drafts("c2")
    assert {path.name for path in directory.iterdir()} == {kept.name, f".{file_name('net', 'c3', 'eth0')}"}
    cache.drop_drafts("c1")
    assert kept.exists(), "a file that has its name is no draft"
    Cache(str(directory / "none")).drop_drafts("c1")
