"""What a running pull says about itself."""

from __future__ import annotations

import asyncio
import logging

import pytest

from criserver.lifecycle.images import progress as pull_progress
from criserver.lifecycle.images.progress import Progress, RunningPulls
from criserver.observe.timings import Stages
from tests.support.image_fakes import digest, fetched


async def test_bytes_and_layers_as_they_come() -> None:
    positions = {digest("b"): 10, digest("c"): 4}
    pulls = RunningPulls(lambda blob: positions.get(blob.digest, 0))
    stages = Stages("PullImage", clock=lambda: 5.0)
    with pulls.running("a.example/app:1", stages) as pull:
        assert list(pulls) == [Progress("a.example/app:1", "waiting", 0.0, 0, 0, 0, 0)]
        with stages.stage("unpack"):
            pull.blobs = fetched("1", "b", "c", "d").layers
            assert list(pulls) == [Progress("a.example/app:1", "unpack", 0.0, 14, 30, 1, 3)]
    assert list(pulls) == []


async def test_the_log_hears_of_long_ones_now_and_then(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull_progress, "LOG_SECONDS", 0.1)
    pulls = RunningPulls(lambda blob: 3)
    with caplog.at_level(logging.INFO):
        with pulls.running("a.example/app:1", Stages("PullImage")) as pull:
            pull.blobs = fetched("1", "b").layers
            await asyncio.sleep(0.25)
        await asyncio.sleep(0.2)
    said = [vars(record) for record in caplog.records]
    assert [(each["message"], each["image"], each["bytes"], each["layers"]) for each in said] == [
        ("image is being pulled", "a.example/app:1", "3/10", "0/1")
    ] * 2
