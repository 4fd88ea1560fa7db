import os
from pathlib import Path

import pytest

from criserver.cli import main as cli


def test_it_needs_root_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert cli.main(["demo", "--listen", f"unix://{tmp_path}/none.sock"]) == 1
    assert capsys.readouterr().err == "criserver: pods need root: run this as root\n"
