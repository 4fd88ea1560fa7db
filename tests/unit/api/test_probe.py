"""The server's request to itself."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from criserver.api.pb import api_pb2 as pb
from criserver.api.probe import answers
from criserver.api.service import service
from criserver.errors import Unavailable
from tests.support.grpc_server import serving

RUNTIME = pb.DESCRIPTOR.services_by_name["RuntimeService"]


def node(asked: list[str], delay: float = 0) -> object:
    """The two RPCs that are asked for."""

    async def status(_: pb.StatusRequest, __: Any) -> pb.StatusResponse:
        asked.append("Status")
        return pb.StatusResponse()

    async def pods(_: pb.ListPodSandboxRequest, __: Any) -> pb.ListPodSandboxResponse:
        asked.append("ListPodSandbox")
        await asyncio.sleep(delay)
        return pb.ListPodSandboxResponse()

    return SimpleNamespace(Status=status, ListPodSandbox=pods)


async def test_it_answers(tmp_path: Path) -> None:
    asked: list[str] = []
    async with serving(tmp_path, service(RUNTIME, node(asked))) as address:
        await answers(address, 5)
    assert asked == ["Status", "ListPodSandbox"]


async def test_it_does_not_answer_in_time(tmp_path: Path) -> None:
    async with serving(tmp_path, service(RUNTIME, node([], delay=30))) as address:
        with pytest.raises(Unavailable, match="does not answer itself: DEADLINE_EXCEEDED"):
            await answers(address, 0.2)


async def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="UNAVAILABLE"):
        await answers(f"unix://{tmp_path}/none.sock", 5)
