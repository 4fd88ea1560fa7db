from __future__ import annotations

from typing import Any

import pytest

from criserver.api.pb import api_pb2 as pb
from criserver.api.streaming import StreamHandlers
from criserver.errors import InvalidArgument
from criserver.lifecycle.running.streams import Attach, Exec, Forward
from criserver.ports.streams import Wanted


class FakeServer:
    """Gives a URL for anything, and remembers for what."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def url(self, request: Any) -> str:
        self.asked.append(request)
        return "http://127.0.0.1:1/x/y"


async def test_requests_become_wishes() -> None:
    server: Any = FakeServer()
    handlers, context = StreamHandlers(server), Any
    run = pb.ExecRequest(container_id="c1", cmd=["a", "b"], tty=True, stdin=True, stdout=True)
    assert (await handlers.Exec(run, context)).url == "http://127.0.0.1:1/x/y"  # type: ignore[arg-type]
    await handlers.Attach(pb.AttachRequest(container_id="c1", stderr=True), context)  # type: ignore[arg-type]
    await handlers.PortForward(pb.PortForwardRequest(pod_sandbox_id="p1", port=[80, 81]), context)  # type: ignore[arg-type]
    assert server.asked == [
        Exec("c1", ("a", "b"), Wanted(stdin=True, stdout=True, tty=True)),
        Attach("c1", Wanted(stderr=True)),
        Forward("p1", (80, 81)),
    ]


@pytest.mark.parametrize("port", [0, -1, 65536])
async def test_what_is_no_port(port: int) -> None:
    server: Any = FakeServer()
    with pytest.raises(InvalidArgument, match=f"port: {port} is no TCP port"):
        await StreamHandlers(server).PortForward(pb.PortForwardRequest(port=[port]), None)  # type: ignore[arg-type]
    assert server.asked == []
