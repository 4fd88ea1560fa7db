"""The whole round: every topic in its order, one that cannot be looked at being a finding itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from criserver.config.schema import Config
from criserver.doctor import (
    cgroups,
    clock,
    disk,
    host_kernel,
    images,
    kubelet,
    neighbours,
    network,
    runtimes,
    security,
    sysctls,
)
from criserver.doctor.finding import Finding, warning
from criserver.errors import CriError


@dataclass(frozen=True, slots=True)
class Topic:
    """A part of the host, and what was found there."""

    name: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    read: Callable[[Config], Awaitable[Any]]
    judge: Callable[[Any], Iterable[Finding]]


_PARTS = (
    _Part("kernel", host_kernel.read, host_kernel.judge),
    _Part("cgroups", cgroups.read, cgroups.judge),
    _Part("security", security.read, security.judge),
    _Part("sysctls", sysctls.read, sysctls.judge),
    _Part("runtimes", runtimes.read, runtimes.judge),
    _Part("network", network.read, network.judge),
    _Part("images", images.read, images.judge),
    _Part("disk", disk.read, disk.judge),
    _Part("clock", clock.read, clock.judge),
    _Part("other servers", neighbours.read, neighbours.judge),
    _Part("kubelet", kubelet.read, kubelet.judge),
)


async def examine(config: Config) -> tuple[Topic, ...]:
    """Look at everything that pods need of this host under `config`."""
    found = await asyncio.gather(*(_findings(part, config) for part in _PARTS))
    return tuple(Topic(part.name, findings) for part, findings in zip(_PARTS, found, strict=True))


async def _findings(part: _Part, config: Config) -> tuple[Finding, ...]:
    try:
        return tuple(part.judge(await part.read(config)))
    except (CriError, OSError) as problem:
        return (warning(f"cannot be looked at: {problem}", "what is wrong there is not known", "run it as root"),)
