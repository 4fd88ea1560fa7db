from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.streaming import FakeProcess, FakeService


@pytest.fixture
async def service() -> AsyncIterator[FakeService]:
    """What sessions open, with a process."""
    process = FakeProcess()
    yield FakeService(process)
    process.close()
