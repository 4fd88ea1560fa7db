from __future__ import annotations

import pytest

from criserver.streaming.wire.portforward import TUNNEL_PROTOCOL, parse_port


@pytest.mark.parametrize(("text", "port"), [("1", 1), ("080", 80), ("65535", 65535)])
def test_ports(text: str, port: int) -> None:
    assert parse_port(text) == port


@pytest.mark.parametrize("text", ["", "0", "65536", "-1", "+1", " 1", "1 ", "8_0", "0x50", "８０", "²", "000080"])
def test_no_ports(text: str) -> None:
    assert parse_port(text) is None


def test_tunnel_protocol_is_what_kubectl_asks_for() -> None:
    assert TUNNEL_PROTOCOL == "SPDY/3.1+portforward.k8s.io"
