"""The text of a pod's hosts, resolv.conf and hostname files (hosts(5), resolv.conf(5), hostname(5)). Pure."""

from __future__ import annotations

from criserver.errors import InvalidArgument
from criserver.model.sandbox import DnsConfig

LOCALHOST = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"


def hosts(hostname: str) -> str:
    """hosts(5) of a pod before anybody writes a better one: the kubelet mounts its own over it."""
    return LOCALHOST + (f"127.0.1.1\t{hostname}\n" if hostname else "")


def resolv_conf(dns: DnsConfig) -> str:
    """resolv.conf(5) of a pod's DNSConfig; InvalidArgument for a value that would break out of its line."""
    for name, values in (("servers", dns.servers), ("searches", dns.searches), ("options", dns.options)):
        for value in values:
            if not value or any(char.isspace() or ord(char) < 32 for char in value):
                raise InvalidArgument(f"config.dns_config.{name}: {value!r} must be one word without spaces")
    lines = [f"nameserver {server}" for server in dns.servers]
    if dns.searches:
        lines.append("search " + " ".join(dns.searches))
    if dns.options:
        lines.append("options " + " ".join(dns.options))
    return "".join(f"{line}\n" for line in lines)
