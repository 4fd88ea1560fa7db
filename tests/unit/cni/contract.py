"""What this package expects of any plugin: asserted on the fake plugins here and on the real ones under tests/root."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cni import Attachment, Network, NotAttached, Result
from cni.config import NetworkConfig


async def lives_and_dies(network: Network, attachment: Attachment) -> Result:
    """ADD, CHECK, DEL, DEL again, as every network must be able to; returns the result of ADD."""
    result = await network.add(attachment)
    assert result.cni_version == network.config.cni_version
    assert result.ips_of(attachment.ifname)
    await network.check(attachment)
    await network.delete(attachment)
    await network.delete(attachment)
    with pytest.raises(NotAttached):
        await network.check(attachment)
    return result


async def delete_needs_nothing(network: Network, attachment: Attachment) -> None:
    """DEL of what was never added, with and without a netns, is a success (spec, DEL)."""
    await network.delete(attachment)
    await network.delete(replace(attachment, netns=""))


async def tells_versions(network: Network) -> None:
    """VERSION lists at least the version that the network is configured for."""
    for speaks in (await network.versions()).values():
        assert network.config.cni_version in speaks


async def survives_the_loss_of_netns(network: Network, attachment: Attachment, gone: str) -> None:
    """DEL with a path that leads nowhere any more succeeds; `gone` is such a path."""
    await network.add(attachment)
    await network.delete(replace(attachment, netns=gone))


def with_version(config: NetworkConfig, version: str) -> NetworkConfig:
    """The same network, configured for one version only."""
    return replace(config, versions=(version,))
