from __future__ import annotations

import json
from ipaddress import ip_address, ip_interface
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni.errors import DecodeFailure, IncompatibleVersion
from cni.result import Dns, Interface, IpConfig, Result, Route, from_json, parse
from cni.version import KNOWN
from tests.unit.cni.conftest import caught

OLD: dict[str, Any] = {
    "ip4": {"ip": "10.1.0.5/16", "gateway": "10.1.0.1", "routes": [{"dst": "0.0.0.0/0"}]},
    "ip6": {"ip": "2001:db8::5/64", "routes": [{"dst": "::/0", "gw": "2001:db8::1"}]},
    "dns": {"nameservers": ["10.1.0.1"], "search": ["a.example"], "domain": "example", "options": ["ndots:5"]},
}
MODERN: dict[str, Any] = {
    "interfaces": [
        {"name": "cni0", "mac": "00:11:22:33:44:55"},
        {"name": "eth0", "mac": "99:88:77:66:55:44", "sandbox": "/run/netns/blue"},
    ],
    "ips": [
        {"version": "4", "address": "10.1.0.5/16", "gateway": "10.1.0.1", "interface": 1},
        {"version": "6", "address": "2001:db8::5/64", "interface": 1},
    ],
    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0", "gw": "2001:db8::1"}],
    "dns": OLD["dns"],
}


def read(document: dict[str, Any], version: str = "1.0.0") -> Result:
    return parse(json.dumps(document).encode(), version)


@pytest.mark.parametrize("version", KNOWN)
def test_every_version_gives_the_same_addresses_routes_and_dns(version: str) -> None:
    document = {"cniVersion": version} | (OLD if version < "0.3.0" else MODERN)
    result = read(document, "0.4.0")
    assert result.cni_version == version
    assert [(str(ip.address), str(ip.gateway)) for ip in result.ips] == [
        ("10.1.0.5/16", "10.1.0.1"),
        ("2001:db8::5/64", "None"),
    ]
    assert result.routes == (
        Route(ip_interface("0.0.0.0/0")),
        Route(ip_interface("::/0"), ip_address("2001:db8::1")),
    )
    assert result.dns == Dns(("10.1.0.1",), "example", ("a.example",), ("ndots:5",))
    assert result.raw == document
    assert [ip.interface for ip in result.ips_of("eth0")] == ([None, None] if version < "0.3.0" else [1, 1])


def test_a_result_without_version_is_of_the_request() -> None:
    assert read(OLD, "0.2.0").ips[0].address == ip_interface("10.1.0.5/16")
    assert read(MODERN, "0.3.1").cni_version == "0.3.1"


def test_what_1_1_0_added_is_read() -> None:
    result = read(
        {
            "cniVersion": "1.1.0",
            "interfaces": [{"name": "eth0", "mtu": 1400, "socketPath": "/run/s", "pciID": "0000:04:00.5"}],
            "routes": [{"dst": "10.0.0.0/8", "mtu": 1, "advmss": 2, "priority": 0, "table": 4, "scope": 253}],
        }
    )
    assert result.interfaces == (Interface("eth0", mtu=1400, socket_path="/run/s", pci_id="0000:04:00.5"),)
    route = result.routes[0]
    assert (route.mtu, route.advmss, route.priority, route.table, route.scope) == (1, 2, 0, 4, 253)


def test_ips_of_leaves_out_host_links_and_other_interfaces() -> None:
    result = read(
        {
            "interfaces": [{"name": "eth0"}, {"name": "eth0", "sandbox": "/n"}, {"name": "eth1", "sandbox": "/n"}],
            "ips": [
                {"address": "10.0.0.1/24", "interface": 0},
                {"address": "10.0.0.2/24", "interface": 1},
                {"address": "10.0.0.3/24", "interface": 2},
                {"address": "10.0.0.4/24"},
            ],
        }
    )
    assert [str(ip.address.ip) for ip in result.ips_of("eth0")] == ["10.0.0.2", "10.0.0.4"]


def test_the_same_version_is_handed_on_with_unknown_keys() -> None:
    result = read({"cniVersion": "1.0.0", "vendor": {"x": 1}, "ips": []})
    assert result.to_json("1.0.0") == {"cniVersion": "1.0.0", "vendor": {"x": 1}, "ips": []}
    assert read({"vendor": 1}, "1.0.0").to_json("1.0.0") == {"cniVersion": "1.0.0", "vendor": 1}


@pytest.mark.parametrize("version", [v for v in KNOWN if v >= "0.3.0"])
@pytest.mark.parametrize("source", KNOWN)
def test_conversion_keeps_what_the_version_can_say(source: str, version: str) -> None:
    result = read({"cniVersion": source} | (OLD if source < "0.3.0" else MODERN))
    document = result.to_json(version)
    again = from_json(document, "0.1.0")
    assert again.cni_version == version
    assert (again.interfaces, again.ips, again.routes, again.dns) == (
        result.interfaces,
        result.ips,
        result.routes,
        result.dns,
    )
    if source != version:
        assert all(("version" in ip) == (version < "1.0.0") for ip in document["ips"])


def test_older_versions_lose_what_they_do_not_know() -> None:
    result = read(
        {"cniVersion": "1.1.0", "interfaces": [{"name": "a", "mtu": 9}], "routes": [{"dst": "::/0", "mtu": 9}]}
    )
    assert result.to_json("1.0.0") == {
        "cniVersion": "1.0.0",
        "interfaces": [{"name": "a"}],
        "routes": [{"dst": "::/0"}],
    }
    again = from_json(Result("1.0.0", result.interfaces, routes=result.routes).to_json("1.1.0"), "1.1.0")
    assert (again.interfaces, again.routes) == (result.interfaces, result.routes)


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0", "1.2.0", ""])
def test_nothing_is_written_in_a_version_that_has_no_chaining(version: str) -> None:
    with pytest.raises(IncompatibleVersion):
        Result("1.0.0").to_json(version)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"cniVersion": "7.0.0"}, 'result.cniVersion: "7.0.0" is none of'),
        ({"cniVersion": 1}, "result.cniVersion: must be a string"),
        ({"ips": {}}, "result.ips: must be a list of objects, is an object"),
        ({"ips": [{}]}, "result.ips[0].address: must be an address in CIDR notation, is ''"),
        ({"ips": [{"address": "10.0.0.1"}]}, "result.ips[0].address"),
        ({"ips": [{"address": "10.0.0.1/33"}]}, "result.ips[0].address"),
        ({"ips": [{"address": "10.0.0.1/255.0.0.0"}]}, "result.ips[0].address"),
        ({"ips": [{"address": "fe80::1%eth0/64"}]}, "result.ips[0].address"),
        ({"ips": [{"address": "10.0.0.1/8", "gateway": "gw"}]}, "result.ips[0].gateway: must be an IP address"),
        ({"ips": [{"address": "10.0.0.1/8", "interface": 0}]}, "result.ips[0].interface: 0 is beyond the 0 interfaces"),
        ({"ips": [{"address": "10.0.0.1/8", "interface": -1}]}, "must not be negative"),
        ({"interfaces": ["eth0"]}, "result.interfaces[0]: must be an object, is a string"),
        ({"interfaces": [{"name": 1}]}, "result.interfaces[0].name"),
        ({"routes": [{"dst": "default"}]}, "result.routes[0].dst"),
        ({"dns": {"search": "x"}}, "result.dns.search: must be a list of strings"),
        ({"cniVersion": "0.2.0", "ip4": {}}, "result.ip4.ip"),
    ],
)
def test_a_bad_field_is_named(document: dict[str, Any], words: str) -> None:
    with pytest.raises(DecodeFailure) as caught:
        read(document)
    assert words in str(caught.value)


SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
SCALAR |= st.sampled_from([*KNOWN, "10.0.0.1/8", "::1/64", "10.0.0.1", "eth0"])
KEYS = st.sampled_from(
    [
        *MODERN,
        *OLD,
        "cniVersion",
        "name",
        "address",
        "gateway",
        "interface",
        "dst",
        "gw",
        "ip",
        "mtu",
        "sandbox",
        "search",
    ]
)
SHAPED = st.dictionaries(
    KEYS,
    st.recursive(SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4)),
    max_size=6,
)


@given(SHAPED.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=64))
def test_anything_gives_a_result_or_a_cni_error(data: bytes) -> None:
    error = caught(lambda: parse(data, "1.0.0"))
    if error is not None:
        assert str(error).isprintable()
        return
    result = parse(data, "1.0.0")
    again = from_json(result.to_json("1.1.0"), "1.1.0")
    assert (again.ips, again.routes, again.dns) == (result.ips, result.routes, result.dns)


def test_results_are_values() -> None:
    assert read(MODERN) == read(MODERN)
    assert IpConfig(ip_interface("10.0.0.1/8")) == IpConfig(ip_interface("10.0.0.1/8"))
