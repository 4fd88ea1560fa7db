"""`criserver status` and `criserver top` against a running server and what the kernel says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.client.conftest import serving
from tests.client.test_stats import cpu_seconds, pids
from tests.support import cri
from tests.support.server import PROJECT, Client, Server


@pytest.fixture(scope="module")
def server(base: Path, pulling: Mapping[str, str]) -> Iterator[Server]:
    with serving(base, {"image": pulling, "stats": {"collection_period": 0.2}}) as running:
        with running.client() as client:
            cri.pull(client)
        yield running


@pytest.fixture
def pod(client: Client, logs: Path) -> Iterator[tuple[str, str]]:
    """A pod with a container that burns a fifth of a core, and with one that has ended."""
    config = cri.pod_config("shown", logs)
    made = cri.run(client, config)
    burn = cri.container_config("burn", "sh", "-c", "while :; do :; done")
    burn.linux.resources.cpu_quota, burn.linux.resources.cpu_period = 20_000, 100_000
    burn.linux.resources.memory_limit_in_bytes = 64 << 20
    container = cri.create(client, made, burn, config)
    cri.start(client, container)
    cri.start(client, cri.create(client, made, cri.container_config("done", "true"), config))
    yield made, container
    cri.remove_pod(client, made)


def command(server: Server, *arguments: str, width: int = 80) -> str:
    argv = [sys.executable, "-m", "criserver", *arguments, "--listen", server.socket]
    env = {**os.environ, "COLUMNS": str(width)}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=PROJECT, timeout=60, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_status(server: Server, pod: tuple[str, str]) -> None:
    told: dict[str, Any] = json.loads(command(server, "status", "--json"))
    assert server.process is not None
    assert told["server"]["pid"] == server.process.pid
    assert {each["type"]: each["status"] for each in told["conditions"]} == {"RuntimeReady": True, "NetworkReady": True}
    assert told["changed"]["stats.collection_period"] == 0.2
    assert "runtime.cdi_spec_dirs" not in told["changed"]
    (found,) = told["pods"]
    assert (found["name"], found["id"], found["state"]) == ("shown", pod[0], "ready")
    assert [each["name"] for each in found["containers"]] == ["burn", "done"]
    for width in (80, 120):
        text = command(server, "status", width=width)
        assert "default/shown" in text and "collection_period = 0.2" in text
        assert max(map(len, text.splitlines())) <= width


def test_top_tells_what_the_process_table_says(server: Server, client: Client, pod: tuple[str, str]) -> None:
    every = pids(client, pod[1])
    before, began = cpu_seconds(every), time.monotonic()
    (row,) = json.loads(command(server, "top", "--json"))["pods"]
    share = (cpu_seconds(every) - before) / (time.monotonic() - began)
    burn = next(each for each in row["containers"] if each["name"] == "burn")
    # The quota is a fifth of a core; a second's use differs from that of the command's whole run.
    assert burn["cores"] == pytest.approx(share, abs=0.08)
    assert 0.05 < burn["cores"] < 0.28
    assert row["cores"] >= burn["cores"] - 0.02
    assert burn["limit"] == 64 << 20 > burn["memory"] > 0
    assert next(each for each in row["containers"] if each["name"] == "done")["cores"] is None
    text = command(server, "top", "--once")
    assert "1 pod  1 of 2 containers running" in text
    assert max(map(len, text.splitlines())) <= 80
