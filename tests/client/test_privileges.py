"""What containers get of a server that may do everything. One that may not clamps, which other tests look at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from criserver.api.pb import api_pb2 as pb
from tests.support import cri
from tests.support.cri import container_config, pod_config
from tests.support.server import Client, Server

SYS_RESOURCE = 24  # capability.h


def capabilities(process: int | str) -> int:
    """CapBnd: what the process and its children can have."""
    lines = dict(line.split(":\t", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return int(lines["CapBnd"], 16)


pytestmark = pytest.mark.skipif(
    not capabilities("self") >> SYS_RESOURCE & 1,
    reason="this machine withholds CAP_SYS_RESOURCE: hack/vm has one that withholds nothing",
)


@pytest.fixture
def pod(server: Server) -> Iterator[str]:
    with server.client() as client:
        cri.pull(client)
        pod_id = cri.run(client, pod_config("privileged"))
    yield pod_id
    with server.client() as client:
        cri.remove_pod(client, pod_id)


def start(client: Client, pod_id: str, wish: pb.ContainerConfig) -> int:
    """Start a container; its pid."""
    container_id = cri.create(client, pod_id, wish, pb.PodSandboxConfig())
    cri.start(client, container_id)
    answer = client("ContainerStatus", pb.ContainerStatusRequest(container_id=container_id, verbose=True))
    return int(json.loads(answer.info["info"])["pid"])


@pytest.mark.parametrize("score", [-998, -1, 0, 1000])
def test_oom_scores_below_the_servers_own(client: Client, pod: str, score: int) -> None:
    wish = container_config("main", "sleep", "1000")
    wish.linux.resources.oom_score_adj = score
    wish.linux.resources.memory_limit_in_bytes = 64 << 20
    process = start(client, pod, wish)
    assert int(Path(f"/proc/{process}/oom_score_adj").read_text()) == score


def test_every_capability(client: Client, pod: str) -> None:
    wish = container_config("main", "sleep", "1000")
    wish.linux.security_context.capabilities.add_capabilities.append("ALL")
    assert capabilities(start(client, pod, wish)) == capabilities("self")
