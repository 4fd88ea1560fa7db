"""What a plugin answers to ADD, whatever version of the specification it speaks, as one `Result`.

`parse` reads 0.1.0 and 0.2.0 (ip4/ip6), 0.3.x and 0.4.0 (ips with a version), 1.0.0 and 1.1.0; `Result.to_json` writes
0.3.0 and later, which is what `prevResult` needs. Everything here is pure. Invariant: any bytes give a Result or a
DecodeFailure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address, ip_interface
from typing import Any

from .errors import DecodeFailure, IncompatibleVersion
from .fields import FieldError, Node, decode, node
from .version import KNOWN, known, listing, supports

Address = IPv4Address | IPv6Address
InterfaceAddress = IPv4Interface | IPv6Interface


@dataclass(frozen=True, slots=True)
class Interface:
    """A link of the attachment; `sandbox` is the netns path, "" for a link on the host. mtu and below are of 1.1.0."""

    name: str
    mac: str = ""
    sandbox: str = ""
    mtu: int | None = None
    socket_path: str = ""
    pci_id: str = ""


@dataclass(frozen=True, slots=True)
class IpConfig:
    """One address with its prefix length, its gateway, and the index in `Result.interfaces` of the link that has it."""

    address: InterfaceAddress
    gateway: Address | None = None
    interface: int | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """One route; `dst` is a network in CIDR form. The numbers are of 1.1.0."""

    dst: InterfaceAddress
    gw: Address | None = None
    mtu: int | None = None
    advmss: int | None = None
    priority: int | None = None
    table: int | None = None
    scope: int | None = None


@dataclass(frozen=True, slots=True)
class Dns:
    """Resolver settings that the network asks for."""

    nameservers: tuple[str, ...] = ()
    domain: str = ""
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """The result of an attachment; `raw` is the plugin's own JSON object, of version `cni_version`, unabridged."""

    cni_version: str
    interfaces: tuple[Interface, ...] = ()
    ips: tuple[IpConfig, ...] = ()
    routes: tuple[Route, ...] = ()
    dns: Dns = Dns()
    raw: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def ips_of(self, ifname: str) -> tuple[IpConfig, ...]:
        """Return the addresses of the container's interface `ifname`, in the plugin's order.

        An address that names no interface belongs to it too: old versions and IPAM-only plugins name none.
        """
        inside = {i for i, link in enumerate(self.interfaces) if link.name == ifname and link.sandbox}
        return tuple(ip for ip in self.ips if ip.interface is None or ip.interface in inside)

    def to_json(self, version: str) -> dict[str, Any]:
        """Return the result as `version` (0.3.0 or later) writes it.

        The plugin's own object is handed on untouched when it is of that version already. Raises IncompatibleVersion.
        """
        if not known(version) or not supports(version, "prevResult"):
            raise IncompatibleVersion(f"a result cannot be written as CNI version {listing([version])}")
        if self.raw and version == self.cni_version:
            return {**self.raw, "cniVersion": version}
        document = {
            "cniVersion": version,
            "interfaces": [_interface_json(link, version) for link in self.interfaces],
            "ips": [_ip_json(ip, version) for ip in self.ips],
            "routes": [_route_json(route, version) for route in self.routes],
            "dns": _filled({key: getattr(self.dns, key) for key in ("nameservers", "domain", "search", "options")}),
        }
        return {key: value for key, value in document.items() if value}


def parse(data: bytes, default_version: str) -> Result:
    """Return the Result in a plugin's standard output.

    `default_version` is the request's version, meant by a result that names none. Raises DecodeFailure, naming the
    field.
    """
    try:
        return _read(decode(data, "result"), default_version)
    except FieldError as error:
        raise DecodeFailure(f"the plugin's result cannot be used: {error}") from None


def from_json(value: object, default_version: str) -> Result:
    """Return the Result in a decoded JSON value, such as a cache file's. Raises DecodeFailure, naming the field."""
    try:
        return _read(node(value, "result"), default_version)
    except FieldError as error:
        raise DecodeFailure(f"the result cannot be used: {error}") from None


def _read(document: Node, default_version: str) -> Result:
    version = document.text("cniVersion") or default_version
    if not known(version):
        raise FieldError(f"{document.at('cniVersion')}: {listing([version])} is none of {listing(KNOWN)}")
    if not supports(version, "prevResult"):
        return _read_020(document, version)
    interfaces = tuple(_interface(entry) for entry in document.children("interfaces"))
    return Result(
        cni_version=version,
        interfaces=interfaces,
        ips=tuple(_ip(entry, len(interfaces)) for entry in document.children("ips")),
        routes=tuple(_route(entry) for entry in document.children("routes")),
        dns=_dns(document.child("dns")),
        raw=document.value,
    )


def _read_020(document: Node, version: str) -> Result:
    families = [document.child(key) for key in ("ip4", "ip6") if document.has(key)]
    return Result(
        cni_version=version,
        ips=tuple(IpConfig(_cidr(entry, "ip"), _gateway(entry, "gateway")) for entry in families),
        routes=tuple(_route(route) for entry in families for route in entry.children("routes")),
        dns=_dns(document.child("dns")),
        raw=document.value,
    )


def _cidr(entry: Node, key: str) -> InterfaceAddress:
    text = entry.text(key)
    address, slash, prefix = text.partition("/")
    # ip_interface also takes a bare address, a dotted mask and a zone; the specification has CIDR notation alone.
    if not slash or not (prefix.isascii() and prefix.isdigit()) or "%" in address:
        raise FieldError(f"{entry.at(key)}: must be an address in CIDR notation, is {text[:64]!r}")
    try:
        return ip_interface(text)
    except ValueError:
        raise FieldError(f"{entry.at(key)}: must be an address in CIDR notation, is {text[:64]!r}") from None


def _gateway(entry: Node, key: str) -> Address | None:
    text = entry.text(key)
    try:
        return ip_address(text) if text else None
    except ValueError:
        raise FieldError(f"{entry.at(key)}: must be an IP address, is {text[:64]!r}") from None


def _interface(entry: Node) -> Interface:
    return Interface(
        name=entry.text("name"),
        mac=entry.text("mac"),
        sandbox=entry.text("sandbox"),
        mtu=entry.unsigned("mtu"),
        socket_path=entry.text("socketPath"),
        pci_id=entry.text("pciID"),
    )


def _ip(entry: Node, interfaces: int) -> IpConfig:
    index = entry.unsigned("interface")
    if index is not None and index >= interfaces:
        raise FieldError(f"{entry.at('interface')}: {index} is beyond the {interfaces} interfaces of the result")
    return IpConfig(_cidr(entry, "address"), _gateway(entry, "gateway"), index)


def _route(entry: Node) -> Route:
    numbers = {key: entry.unsigned(key) for key in ("mtu", "advmss", "priority", "table", "scope")}
    return Route(_cidr(entry, "dst"), _gateway(entry, "gw"), **numbers)


def _dns(entry: Node) -> Dns:
    return Dns(entry.strings("nameservers"), entry.text("domain"), entry.strings("search"), entry.strings("options"))


def _filled(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is missing, as the specification's optional keys want it; 0 is a value."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in fields.items()
        if value is not None and value not in ("", ())
    }


def _interface_json(link: Interface, version: str) -> dict[str, Any]:
    late = {"mtu": link.mtu, "socketPath": link.socket_path, "pciID": link.pci_id}
    rest = _filled({"mac": link.mac, "sandbox": link.sandbox} | (late if supports(version, "interface mtu") else {}))
    return {"name": link.name} | rest


def _ip_json(ip: IpConfig, version: str) -> dict[str, Any]:
    family = {} if supports(version, "ips without version") else {"version": str(ip.address.version)}
    gateway = str(ip.gateway) if ip.gateway else None
    return family | _filled({"interface": ip.interface, "address": str(ip.address), "gateway": gateway})


def _route_json(route: Route, version: str) -> dict[str, Any]:
    late = {key: getattr(route, key) for key in ("mtu", "advmss", "priority", "table", "scope")}
    early = {"dst": str(route.dst), "gw": str(route.gw) if route.gw else None}
    return _filled(early | (late if supports(version, "interface mtu") else {}))
