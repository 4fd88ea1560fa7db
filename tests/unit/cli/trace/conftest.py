from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.support.world import House


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A fresh server over fakes."""
    made = House(tmp_path)
    yield made
    await made.close()
