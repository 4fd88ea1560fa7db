"""Marks tests by their folder, and says of those that need root that they need it."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.support import oci_schema

TESTS = Path(__file__).parent
NEEDS_ROOT = pytest.mark.skip(reason="needs root")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """tests/root, tests/client and tests/cluster get the marker of their name, and run as root only."""
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in ("root", "client", "cluster"):
            item.add_marker(folder)
            if os.geteuid() != 0:
                item.add_marker(NEEDS_ROOT)


@pytest.fixture(scope="session")
def schema() -> Any:
    """What tells whether a config.json is valid."""
    try:
        return oci_schema.validator()
    except LookupError as lacking:
        pytest.skip(str(lacking))
