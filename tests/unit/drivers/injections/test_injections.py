"""CDI devices and hooks from files as they are now."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from criserver.drivers.injections.injections import InjectionFiles
from criserver.errors import FailedPrecondition, InvalidArgument
from criserver.model.edits import NO_EDITS
from criserver.ports.injections import Injections


@pytest.fixture
def files(tmp_path: Path) -> Injections:
    return InjectionFiles(lambda: [f"{tmp_path}/etc", f"{tmp_path}/run"], lambda: [f"{tmp_path}/hooks"])


async def test_devices_come_and_go(tmp_path: Path, files: Injections) -> None:
    assert await files.devices(()) == NO_EDITS
    with pytest.raises(FailedPrecondition, match="v.com/c=d: no file"):
        await files.devices(("v.com/c=d",))
    (tmp_path / "run").mkdir()
    text = "{cdiVersion: 0.5.0, kind: v.com/c, devices: [{name: d, containerEdits: {env: [A=b]}}]}"
    (tmp_path / "run/v.yaml").write_text(text)
    assert (await files.devices(("v.com/c=d",))).env == ("A=b",)


async def test_what_is_no_name(files: Injections) -> None:
    with pytest.raises(InvalidArgument, match="'gpu0' is not a full name"):
        await files.devices(("gpu0",))


async def test_hooks(tmp_path: Path, files: Injections) -> None:
    assert await files.hooks() == ()
    (tmp_path / "hooks").mkdir()
    hook = {"version": "1.0.0", "hook": {"path": "/bin/true"}, "when": {"always": True}, "stages": ["poststop"]}
    (tmp_path / "hooks/a.json").write_text(json.dumps(hook))
    (rule,) = await files.hooks()
    assert rule.hook.stages == ("poststop",)
    (tmp_path / "hooks/b.json").write_text("{}")
    with pytest.raises(FailedPrecondition, match=r"hooks/b.json: .*missing.*containers must not start without"):
        await files.hooks()
