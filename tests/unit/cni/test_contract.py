"""The fake plugins keep the contract that the real ones keep."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cni import contract
from tests.unit.cni.conftest import Bench, attachment, conflist


@pytest.mark.parametrize("version", ["0.4.0", "1.0.0", "1.1.0"])
async def test_fake_plugins(bench: Bench, tmp_path: Path, version: str) -> None:
    network = bench.network(contract.with_version(conflist(), version))
    await contract.delete_needs_nothing(network, attachment())
    await contract.lives_and_dies(network, attachment())
    await contract.tells_versions(network)
    await contract.survives_the_loss_of_netns(network, attachment(), str(tmp_path / "gone"))
