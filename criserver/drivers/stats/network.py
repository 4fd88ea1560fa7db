"""The table of /proc/net/dev to traffic (proc_pid_net(5)). Pure."""

from __future__ import annotations

from collections.abc import Iterator

from criserver.model.stats import InterfaceUsage


def interfaces(table: str) -> tuple[InterfaceUsage, ...]:
    """Every interface but loopback: what a pod tells itself is no traffic. Lines that do not parse are left out."""
    return tuple(_interfaces(table))


def _interfaces(table: str) -> Iterator[InterfaceUsage]:
    for line in table.splitlines()[2:]:
        name, _, rest = line.rpartition(":")  # an interface's name may hold a colon
        values = rest.split()
        if len(values) < 16 or not all(value.isdecimal() for value in values) or name.strip() == "lo":
            continue
        received, sent = [int(value) for value in values[:4]], [int(value) for value in values[8:12]]
        yield InterfaceUsage(name.strip(), *received, *sent)
