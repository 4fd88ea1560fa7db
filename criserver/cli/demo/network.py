"""A CNI configuration for a host that has none: a bridge with an address range that nothing else here uses."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import shutil
import subprocess
from collections.abc import Sequence

from criserver.errors import FailedPrecondition

BRIDGE = "criserver-demo"
CANDIDATES = [ipaddress.IPv4Network(f"10.{second}.0.0/24") for second in range(85, 125)]
_FORWARDING = "/proc/sys/net/ipv4/ip_forward"


def is_configured(directory: str) -> bool:
    """Whether the CNI directory has a configuration."""
    try:
        return any(name.endswith((".conflist", ".conf", ".json")) for name in os.listdir(directory))
    except OSError:
        return False


def free_range() -> str:
    """A private /24 that no route of this host touches."""
    with open("/proc/net/route") as file:
        taken = [_network(*line.split()) for line in file.readlines()[1:]]
    for candidate in CANDIDATES:
        if not any(candidate.overlaps(route) for route in taken):
            return str(candidate)
    raise FailedPrecondition("no free range of addresses for a demo network: every 10.85.0.0/24 to 10.124.0.0/24 is in use")


def conflist(bridge: str, subnet: str, leases: str = "") -> str:
    """The network configuration list: bridge, masquerade, host ports; host-local keeps its leases in `leases`."""
    ipam: dict[str, object] = {
        "type": "host-local",
        "ranges": [[{"subnet": subnet}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    if leases:
        ipam["dataDir"] = leases
    plugins = [
        {"type": "bridge", "bridge": bridge, "isGateway": True, "ipMasq": True, "hairpinMode": True, "ipam": ipam},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return json.dumps({"cniVersion": "1.0.0", "name": bridge, "plugins": plugins}, indent=2) + "\n"


class DemoNetwork:
    """A network that lives in `directory`, and what of it has to be taken away from the host at the end."""

    def __init__(self, directory: str) -> None:
        self.subnet = free_range()
        self.conf_dir = os.path.join(directory, "net.d")
        self._forwarding = _read(_FORWARDING)
        os.mkdir(self.conf_dir)
        with open(os.path.join(self.conf_dir, f"10-{BRIDGE}.conflist"), "w") as file:
            file.write(conflist(BRIDGE, self.subnet, os.path.join(directory, "leases")))

    def remove(self) -> None:
        """Drop the bridge and the chains that the plugins made and leave, and forward packets only if that was so before."""
        if os.path.exists(f"/sys/class/net/{BRIDGE}"):
            _quietly(["ip", "link", "delete", BRIDGE])
        if self._forwarding == "0":
            with contextlib.suppress(OSError), open(_FORWARDING, "w") as file:
                file.write("0")


def _network(_interface: str, destination: str, _gateway: str, *rest: str) -> ipaddress.IPv4Network:
    """The range of a line of /proc/net/route, whose numbers are hexadecimal, lowest byte first; the default is none."""
    address, mask = (int.from_bytes(bytes.fromhex(text), "little") for text in (destination, rest[4]))
    if not mask:
        return ipaddress.IPv4Network("255.255.255.255/32")
    return ipaddress.IPv4Network((address, mask.bit_count()), strict=False)


def _read(path: str) -> str:
    with open(path) as file:
        return file.read().strip()


def _quietly(command: Sequence[str]) -> None:
    if (program := shutil.which(command[0], path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")) is not None:
        subprocess.run([program, *command[1:]], capture_output=True, check=False)
