from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni.errors import (
    CniError,
    DecodeFailure,
    InvalidNetworkConfig,
    InvalidParameter,
    IOFailure,
    PluginCrashed,
    PluginError,
    PluginNotFound,
    PluginTimeout,
    TryAgainLater,
)
from cni.execute import Completed
from cni.plugins import BUSY_RETRIES, Plugins, answer, supported
from tests.unit.cni.conftest import FakePlugins, attachment, caught, failed, ok

Script = Callable[[str, str], Plugins]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Make a real plugin of a shell script's body."""

    def make(name: str, body: str) -> Plugins:
        path = tmp_path / "real" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return Plugins([str(path.parent)], limits={"ADD": 0.5})

    return make


def test_programs_are_searched_in_order(tmp_path: Path) -> None:
    for directory in ("a", "b", "c"):
        (tmp_path / directory).mkdir()
    (tmp_path / "a" / "p").mkdir()
    (tmp_path / "b" / "p").touch(0o644)
    (tmp_path / "c" / "p").touch(0o755)
    plugins = Plugins([str(tmp_path / name) for name in ("missing", "a", "b", "c")])
    assert plugins.find("p") == str(tmp_path / "c" / "p")


def test_what_is_not_found_names_the_directories_and_the_reason(tmp_path: Path) -> None:
    (tmp_path / "p").touch(0o644)
    with pytest.raises(PluginNotFound) as caught:
        Plugins([str(tmp_path), "/nowhere"]).find("p")
    assert str(caught.value) == f'plugin "p": not found in {tmp_path}, /nowhere ({tmp_path}/p is not executable)'
    with pytest.raises(PluginNotFound, match="in any directory"):
        Plugins([]).find("p")


@pytest.mark.parametrize("kind", ["../bin/sh", "/bin/sh", "", ".", ".."])
def test_no_path_is_taken_for_a_type(kind: str) -> None:
    with pytest.raises(InvalidNetworkConfig):
        Plugins(["/usr/bin"]).find(kind)


@pytest.mark.parametrize("directory", ["relative", "", "/a:/b", "/a\0"])
def test_directories_must_fit_cni_path(directory: str) -> None:
    with pytest.raises(InvalidParameter, match="plugin directory"):
        Plugins([directory])


async def test_a_real_plugin_sees_its_request_and_environment(script: Script) -> None:
    plugins = script(
        "p", 'cat; echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME $CNI_ARGS" >&2; test -z "$HOME" || exit 9'
    )
    assert json.loads(await plugins.call("p", "ADD", {"a": "é"}, attachment())) == {"a": "é"}


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (
            """echo '{"code": 11, "msg": "busy", "details": "lock"}'; exit 1""",
            TryAgainLater,
            'plugin "p" ADD: busy: lock (CNI code 11)',
        ),
        ("""echo '{"code": 107, "msg": "own"}'; echo why >&2; exit 1""", PluginError, "own: why (CNI code 107)"),
        ("echo oh no >&2; exit 2", PluginCrashed, "exited with status 2 and no error structure: oh no"),
        ("echo plain words; exit 2", PluginCrashed, "exited with status 2 and no error structure: plain words"),
        ("kill -SEGV $$", PluginCrashed, "killed by SIGSEGV"),
        ("echo hm >&2; exec sleep 100", PluginTimeout, "still running after 0.5 s, killed with its children: hm"),
        ("head -c 2000000 /dev/zero", DecodeFailure, "printed more than is read"),
    ],
)
async def test_a_real_plugins_failure_becomes_its_exception(
    script: Script, body: str, kind: type[CniError], words: str
) -> None:
    plugins = script("p", body)
    with pytest.raises(kind) as caught:
        await plugins.call("p", "ADD", {}, attachment())
    assert words in str(caught.value)
    assert (caught.value.plugin, caught.value.command) == ("p", "ADD")


async def test_a_program_that_cannot_run_is_told(script: Script, tmp_path: Path) -> None:
    plugins = script("p", "")
    (tmp_path / "real" / "p").write_text("no program at all")
    with pytest.raises(IOFailure, match=r'plugin "p" ADD: .*/real/p cannot be run: .*Exec format error'):
        await plugins.call("p", "ADD", {})


async def test_a_program_being_replaced_is_tried_again(bin_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cni.plugins.BUSY_PAUSE", 0)
    busy = [OSError(errno.ETXTBSY, "Text file busy")] * BUSY_RETRIES

    async def execute(*_: object, **__: object) -> Completed:
        if busy:
            raise busy.pop()
        return ok({"fine": 1})

    assert await Plugins([str(bin_dir)], execute=execute).call("one", "DEL", {}) == b'{"fine": 1}'
    busy += [OSError(errno.ETXTBSY, "Text file busy")] * (BUSY_RETRIES + 1)
    with pytest.raises(IOFailure, match="Text file busy"):
        await Plugins([str(bin_dir)], execute=execute).call("one", "DEL", {})


async def test_versions_are_asked_once_per_program(bin_dir: Path) -> None:
    asked = []

    class Counting(FakePlugins):
        async def __call__(self, *arguments: object, **more: object) -> Completed:
            asked.append(arguments)
            return ok({"cniVersion": "1.1.0", "supportedVersions": ["1.0.0"]})

    plugins = Plugins([str(bin_dir)], execute=Counting())
    assert await plugins.versions("one") == await plugins.versions("one") == frozenset({"1.0.0"})
    assert len(asked) == 1
    (bin_dir / "one").write_text("another program")
    await plugins.versions("one")
    assert len(asked) == 2


@pytest.mark.parametrize("bad", [failed(4, "unknown CNI_COMMAND: VERSION"), Completed(0, b"garbage"), Completed(-9)])
async def test_a_plugin_that_cannot_tell_its_versions_tells_none(bin_dir: Path, bad: Completed) -> None:
    async def execute(*_: object, **__: object) -> Completed:
        return bad

    assert await Plugins([str(bin_dir)], execute=execute).versions("one") == frozenset()
    with pytest.raises(PluginNotFound):
        await Plugins([str(bin_dir)], execute=execute).versions("three")


def test_supported_versions_are_read_or_refused() -> None:
    assert supported(b'{"supportedVersions": ["1.0.0"]}', "p") == frozenset({"1.0.0"})
    with pytest.raises(DecodeFailure, match="supportedVersions: must be a list"):
        supported(b'{"supportedVersions": "1.0.0"}', "p")


@given(
    st.builds(
        Completed,
        st.integers(-80, 255),
        st.binary(max_size=50)
        | st.builds(
            lambda code, msg: json.dumps({"code": code, "msg": msg}).encode(),
            st.integers() | st.text() | st.none() | st.floats(),
            st.text() | st.integers(),
        ),
        st.binary(max_size=50),
        st.booleans(),
        st.booleans(),
    )
)
def test_any_ending_gives_bytes_or_a_cni_error(completed: Completed) -> None:
    error = caught(lambda: answer("p", "ADD", completed, 5))
    if error is None:
        assert answer("p", "ADD", completed, 5) == completed.stdout
        assert completed.returncode == 0
    else:
        assert (error.plugin, error.command) == ("p", "ADD")
        assert str(error).isprintable()
