"""What CNI plugins leave on a host that had no CNI configuration: an idle bridge, leases, packet forwarding.

The server falls back to a network of its own there, and plugins clean up after a pod, never after a network. Whoever
tries the server out wants the host as it was.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import shutil

from criserver.cli.demo import programs

INTERFACES = "/sys/class/net"
LEASES = "/var/lib/cni/networks"  # where host-local keeps them unless told otherwise
FORWARDING = "/proc/sys/net/ipv4/ip_forward"


def is_configured(directory: str) -> bool:
    """Whether the CNI directory has a configuration."""
    return any(name.endswith((".conflist", ".conf", ".json")) for name in _names(directory))


class HostNetwork:
    """The host's networking as it is now, to be made so again."""

    def __init__(self) -> None:
        self._bridges = _idle_bridges()
        self._leases = _names(LEASES)
        self._forwarding = _read(FORWARDING)

    def restore(self) -> None:
        """Drop what is new and unused, bridges and leases; forward packets only if that was so before."""
        for name in _idle_bridges() - self._bridges:
            programs.output("ip", "link", "delete", name)
        for name in _names(LEASES) - self._leases:
            if not any(_is_address(lease) for lease in _names(os.path.join(LEASES, name))):
                shutil.rmtree(os.path.join(LEASES, name), ignore_errors=True)
        for directory in (LEASES, os.path.dirname(LEASES)):
            with contextlib.suppress(OSError):  # kept when it has something
                os.rmdir(directory)
        if self._forwarding == "0" and _read(FORWARDING) != "0":
            with contextlib.suppress(OSError), open(FORWARDING, "w") as file:
                file.write("0")


def _idle_bridges() -> set[str]:
    """Bridges that no interface is attached to."""
    ports = {name: os.path.join(INTERFACES, name, "brif") for name in _names(INTERFACES)}
    return {name for name, directory in ports.items() if os.path.isdir(directory) and not _names(directory)}


def _is_address(name: str) -> bool:
    """Whether a file of host-local is a lease: those are named by their address, beside its lock and its last one."""
    with contextlib.suppress(ValueError):
        return bool(ipaddress.ip_address(name))
    return False


def _names(directory: str) -> set[str]:
    try:
        return set(os.listdir(directory))
    except OSError:
        return set()


def _read(path: str) -> str:
    with open(path) as file:
        return file.read().strip()
