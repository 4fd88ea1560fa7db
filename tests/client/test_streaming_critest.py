"""critest's Streaming group, over SPDY and over WebSocket."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import critest as suite
from tests.support.critest import Critest
from tests.support.critest_images import push_all
from tests.support.registry import Registry
from tests.support.server import Server

SPECS = 5
WEBSOCKET = ("-websocket-exec", "-websocket-attach", "-websocket-portforward")


@pytest.fixture(scope="module")
def critest(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Critest:
    """critest, and everything that it pulls."""
    if lacking := suite.missing():
        pytest.skip(lacking)
    return Critest.prepared(tmp_path_factory.mktemp("critest"), push_all(registry))


@pytest.mark.parametrize("flags", [(), WEBSOCKET], ids=["spdy", "websocket"])
def test_streaming_group(server: Server, critest: Critest, flags: tuple[str, ...], tmp_path: Path) -> None:
    program = tmp_path / "critest"
    program.write_text(f'#!/bin/sh\nexec {critest.program} {" ".join(flags)} "$@"\n')
    program.chmod(0o755)
    outcome = Critest(program, tmp_path).run(server, [r"\[k8s.io\] Streaming"], seconds=150)
    assert not outcome.failed, outcome.told()
    assert not outcome.skipped
    assert len(outcome.passed) == SPECS
