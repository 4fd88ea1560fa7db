"""Marks tests by their folder, and says of those that need root that they need it."""

import os
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
NEEDS_ROOT = pytest.mark.skip(reason="needs root")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """tests/root and tests/client get the marker of their name, and run as root only."""
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in ("root", "client"):
            item.add_marker(folder)
            if os.geteuid() != 0:
                item.add_marker(NEEDS_ROOT)
