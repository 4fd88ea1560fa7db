"""The pages by task: every command in a block marked `sh` is run, in the order of the page, against a server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.client.conftest import assert_clean, serving
from tests.support import crictl as tools
from tests.support.images import busybox_tree, image, write_archive
from tests.support.server import PROJECT, Server

DOCS = PROJECT / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KINDS = {"sh", "machine", "yaml", "json"}


def blocks(page: Path) -> list[tuple[str, str]]:
    """Kind and text of each block."""
    return BLOCK.findall(page.read_text())


PAGES = sorted(page.name for page in DOCS.glob("*.md") if any(kind == "sh" for kind, _ in blocks(page)))


@pytest.fixture(scope="module")
def server(base: Path, pulling: Mapping[str, str]) -> Iterator[Server]:
    with serving(base, {"image": pulling}) as running:
        demo = image(busybox_tree(), config={"Cmd": ["sh"]})
        file = write_archive(base / "demo.tar", {"localhost/criserver-demo:latest": demo})
        subprocess.run(
            [sys.executable, "-m", "criserver", "load", "--listen", running.socket, file], check=True, cwd=PROJECT
        )
        yield running


@pytest.fixture
def place(server: Server, tmp_path: Path) -> Iterator[Path]:
    """A directory to stand in, whose `bin` has the commands as an installed server would have them."""
    commands = tmp_path / "bin"
    commands.mkdir()
    flags = f"--config {server.base}/config.yaml --root {server.root} --state {server.state} --listen {server.socket}"
    python = f"PYTHONPATH={PROJECT} exec {sys.executable}"
    (commands / "criserver").write_text(
        f'#!/bin/sh\ncommand=$1; shift\n{python} -m criserver "$command" {flags} "$@"\n'
    )
    (commands / "python3").write_text(f'#!/bin/sh\n{python} "$@"\n')
    for command in ("criserver", "python3"):
        (commands / command).chmod(0o755)
    shutil.copytree(PROJECT / "config", tmp_path / "config")
    yield tmp_path
    shutil.rmtree("/var/log/pods/hello", ignore_errors=True)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_works(server: Server, place: Path, page: str) -> None:
    if lacking := tools.missing():
        pytest.skip(lacking)
    script = "set -ex\n" + "".join(text for kind, text in blocks(DOCS / page) if kind == "sh")
    env = {
        **os.environ,
        "PATH": f"{place}/bin:{Path(tools.binary()).parent}:{os.environ['PATH']}:/usr/sbin",
        "CONTAINER_RUNTIME_ENDPOINT": server.socket,
        "CONF_DIR": str(server.conf_dir),
    }
    done = subprocess.run(
        ["bash", "-c", script], cwd=place, env=env, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    assert_clean(server)


def test_every_block_has_a_kind_that_is_known() -> None:
    for page in DOCS.glob("*.md"):
        assert {kind for kind, _ in blocks(page)} <= KINDS, page


def test_the_index_has_every_page() -> None:
    index = (DOCS / "README.md").read_text()
    pages = {page.name for page in DOCS.glob("*.md")} - {"README.md"}
    assert {name for name in pages if f"]({name})" not in index} == set()
