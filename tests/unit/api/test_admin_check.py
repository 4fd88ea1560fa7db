"""The operator's check, over a real socket."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import grpc

from criserver.api.admin import admin, call
from criserver.api.admin_check import CheckAdmin
from criserver.lifecycle.mending.check import Checker, Report
from criserver.model.findings import Finding, Verdict
from tests.support.grpc_server import serving


class Fake:
    """Finds one thing, which a repair takes away."""

    async def check(self, *, repair: bool = False) -> Report:
        if repair:
            return Report((), ("gave it back",))
        return Report((Finding(Verdict.LEFT_OVER, "root mount", "nobody", "f", "/x", "repair"),))


async def ask(directory: Path, request: dict[str, Any]) -> Any:
    async with serving(directory, admin(CheckAdmin(cast(Checker, Fake())))) as address:

        def blocking() -> Any:
            with grpc.insecure_channel(address) as channel:
                return call(channel, "Check", request)

        return await asyncio.to_thread(blocking)


async def test_findings(tmp_path: Path) -> None:
    finding = {
        "verdict": "left over", "what": "root mount", "owner": "nobody", "id": "f", "where": "/x", "hint": "repair",
    }  # fmt: skip
    assert await ask(tmp_path, {}) == {"findings": [finding], "done": []}
    assert await ask(tmp_path, {"repair": "yes"}) == {"findings": [finding], "done": []}, "only true is a yes"


async def test_repair(tmp_path: Path) -> None:
    assert await ask(tmp_path, {"repair": True}) == {"findings": [], "done": ["gave it back"]}
