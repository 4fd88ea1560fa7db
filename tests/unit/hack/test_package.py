"""What is installed on nodes: built twice it is the same, and it holds what the project says."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from criserver.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "hack" / "package"


def build(kind: str, directory: Path) -> Path:
    done = subprocess.run([PACKAGE, kind, directory], capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip().splitlines()[-1])


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("git") or not (ROOT / ".git").exists(), reason="this is no git checkout")
def test_two_wheels_of_one_commit_are_equal(tmp_path: Path) -> None:
    first, second = build("wheel", tmp_path / "a"), build("wheel", tmp_path / "b")
    assert first.name == second.name
    digests = {hashlib.sha256(each.read_bytes()).hexdigest() for each in (first, second)}
    assert len(digests) == 1


def name(requirement: str) -> str:
    """The project's name in a requirement, as PEP 503 normalises it."""
    return re.sub("[-_.]+", "-", re.split("[ =<>~!;\\[]", requirement)[0]).lower()


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "hack/package.d/requirements.txt").read_text().replace("\\\n", "").splitlines()
    locked = [line for line in lines if not line.startswith("#")]
    assert {name(each) for each in project["dependencies"]} - {name(each) for each in locked} == set(), (
        "run hack/package lock"
    )
    assert all(re.fullmatch(r"\S+==\S+( +--hash=sha256:[0-9a-f]{64})+", each.strip()) for each in locked)


def test_manual_and_completions(tmp_path: Path) -> None:
    for directory in ("man/man8", "bash-completion/completions", "zsh/vendor-completions"):
        (tmp_path / directory).mkdir(parents=True)
    manual = ROOT / "hack/package.d/manual.py"
    subprocess.run([sys.executable, manual, tmp_path], check=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)})
    page = (tmp_path / "man/man8/criserver.8").read_text()
    bash = tmp_path / "bash-completion/completions/criserver"
    for command in COMMANDS:
        assert f"criserver {command}" in page.replace("\\-", "-")
        assert command in bash.read_text()
    subprocess.run(["bash", "-n", bash], check=True)


@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm"])
def test_maintainer_scripts_are_shell(script: str) -> None:
    subprocess.run(["sh", "-n", ROOT / "config/debian" / script], check=True)
