from __future__ import annotations

from io import StringIO
from typing import Any, cast

import pytest
from rich.console import Console

from criserver.api.pb import api_pb2 as pb
from criserver.cli.status.node import look
from criserver.cli.status.view import show
from tests.unit.cli.status.kit import EXITED, Answering, Service, container, pod
from tests.unit.cli.trace.kit import operation, stage


def shown(answering: Answering, width: int = 80, *, most: int | None = None) -> str:
    out = StringIO()
    node = look(cast(Any, answering))
    show(node, most=most, console=Console(file=out, width=width, highlight=False, color_system=None))
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_a_node(width: int) -> None:
    text = shown(Answering(Service()), width)
    assert max(map(len, text.splitlines())) <= width
    for words in (
        "criserver 0.1.0  pid 7, up 1h 1m", "✓ NetworkReady", "unix:///run/x.sock", "metrics.port = 9090",
        "runc: crun is not installed", "runc 1.1.5", "2, 3.0 MiB", "2 pods (1 ready, 1 not ready)",
        "3 containers (2 exited, 1 running)",
    ):  # fmt: skip
        assert words in text, words
    assert text.index("shop/web") < text.index("├ nginx") < text.index("└ nginx") < text.index("shop/old")


def test_a_condition_that_does_not_hold_says_why_and_steers_no_terminal() -> None:
    service = Service()
    service.ready = False
    assert "✗ NetworkReady  NetworkPluginNotReady: no [bold]configuration[/]" in shown(Answering(service))


def test_running_requests() -> None:
    running = operation("RunPodSandbox", None, stage("reserve", 0.0, 0.1), stage("network", 0.1, None))
    node = Answering(Service(), [running])
    assert "RunPodSandbox shop/<b>web</b>  in stage network, for " in shown(node, 120)


def test_many_pods_are_cut() -> None:
    service = Service()
    service.pods += [pod(f"more{number}", age=20 + number) for number in range(30)]
    text = shown(Answering(service), most=5)
    assert "and 27 more: --all shows them" in text
    assert "shop/more2" in text and "shop/more9" not in text and "shop/old" not in text
    assert "shop/old" in shown(Answering(service))


def test_what_failed_comes_first_and_says_how() -> None:
    service = Service()
    service.pods += [pod(f"more{number}", age=20 + number) for number in range(9)]
    killed = container("killed", service.pods[-1].id, EXITED)
    service.containers += [killed, container("fine", service.pods[-1].id, EXITED)]
    service.ends = {killed.id: pb.ContainerStatus(exit_code=137, reason="OOMKilled")}
    text = shown(Answering(service), most=2)
    assert text.index("shop/more8") < text.index("exited 137 OOMKilled") < text.index("shop/web")
    assert "└ fine     " in text and "exited 0" not in text
    service.ends = {killed.id: pb.ContainerStatus(exit_code=3, reason="Error")}
    assert "exited 3 " in shown(Answering(service), most=1)


def test_an_empty_node() -> None:
    service = Service()
    service.pods, service.containers = [], []
    assert "0 pods" in shown(Answering(service))
