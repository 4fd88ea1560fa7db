"""`python -m cni`, with plugins that are shell scripts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cni.__main__ import main

PLUGIN = """#!/bin/sh
input=$(cat)
case $CNI_COMMAND in
ADD) echo '{"cniVersion": "1.1.0", "ips": [{"address": "10.1.0.2/24"}]}' ;;
VERSION) echo '{"supportedVersions": ["1.0.0", "1.1.0"]}' ;;
CHECK) echo "$input" | grep -q prevResult || exit 1 ;;
STATUS) if [ -e "$(dirname "$0")/full" ]; then echo '{"code": 50, "msg": "pool is full"}'; exit 1; fi ;;
esac
"""


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    """The options that keep a command inside the test's directory."""
    for name in ("bin", "conf"):
        (tmp_path / name).mkdir()
    (tmp_path / "bin" / "p").write_text(PLUGIN)
    (tmp_path / "bin" / "p").chmod(0o755)
    document = {"cniVersion": "1.1.0", "name": "net", "plugins": [{"type": "p"}]}
    (tmp_path / "conf" / "10-net.conflist").write_text(json.dumps(document))
    return [f"--{kind}-dir={tmp_path}/{kind}" for kind in ("conf", "bin", "cache")]


ATTACHMENT = ["--id=c1", "--netns", f"/proc/{os.getpid()}/ns/net", "--arg=K=v", '--capability-args={"mac": "x"}']


def test_an_attachments_life(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    def told(*argv: str) -> dict[str, object]:
        assert main([argv[0], *options, *argv[1:]]) == 0
        answer: dict[str, object] = json.loads(capsys.readouterr().out)
        return answer

    assert told("version") == {"network": "net", "plugins": {"p": ["1.0.0", "1.1.0"]}}
    assert told("status", "--network=net") == {"network": "net", "ready": True}
    assert told("add", *ATTACHMENT)["ips"] == [{"address": "10.1.0.2/24"}]
    assert told("check", *ATTACHMENT) == {"network": "net", "checked": True}
    assert told("gc") == {"network": "net", "deleted": []}
    assert told("gc", "--valid=c1") == {"network": "net", "deleted": []}
    assert told("gc", "--valid=c2:eth0") == {"network": "net", "deleted": [{"containerID": "c1", "ifname": "eth0"}]}
    assert told("del", *ATTACHMENT) == {"network": "net", "deleted": True}


def test_failures_are_one_clear_line(options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(*argv: str) -> str:
        assert main([argv[0], *options, *argv[1:]]) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        return captured.err

    (tmp_path / "bin" / "full").touch()
    assert refused("status") == 'cni status: plugin "p" STATUS: pool is full (CNI code 50)\n'
    assert "interface name 'a/b' must not" in refused("add", *ATTACHMENT, "--ifname=a/b")
    assert "--capability-args: not JSON" in refused("add", "--id=c", "--capability-args={")
    assert 'no network "x"' in refused("status", "--network=x")
    (tmp_path / "conf" / "00.conflist").write_text("{")
    lines = refused("status").splitlines()
    assert lines[0].startswith(f"cni: skipped {tmp_path}/conf/00.conflist: conf: not JSON")
    assert len(lines) == 2


def test_it_runs_as_a_module_and_says_how_to_use_it() -> None:
    command = [sys.executable, "-m", "cni"]
    root = Path(__file__).parents[3]
    assert "add" in subprocess.run([*command, "--help"], cwd=root, capture_output=True, text=True, check=True).stdout
    assert subprocess.run([*command, "add"], cwd=root, capture_output=True, check=False).returncode == 2
