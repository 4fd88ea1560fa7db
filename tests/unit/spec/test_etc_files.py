"""hosts(5) and resolv.conf(5) of a pod."""

from __future__ import annotations

from typing import Any

import pytest

from criserver.errors import InvalidArgument
from criserver.model.sandbox import DnsConfig
from criserver.spec import etc_files


def test_hosts_name_the_pod() -> None:
    lines = etc_files.hosts("web-0").splitlines()
    assert lines[0] == "127.0.0.1\tlocalhost" and lines[-1] == "127.0.1.1\tweb-0"
    assert etc_files.hosts("") == etc_files.LOCALHOST


@pytest.mark.parametrize(
    ("dns", "text"),
    [
        (DnsConfig(), ""),
        (DnsConfig(("10.0.0.10", "fd00::10")), "nameserver 10.0.0.10\nnameserver fd00::10\n"),
        (
            DnsConfig((), ("a.local", "b.local"), ("ndots:5", "rotate")),
            "search a.local b.local\noptions ndots:5 rotate\n",
        ),
    ],
)
def test_resolv_conf(dns: DnsConfig, text: str) -> None:
    assert etc_files.resolv_conf(dns) == text


@pytest.mark.parametrize("field", ["servers", "searches", "options"])
@pytest.mark.parametrize("value", ["", "a b", "a\nnameserver 6.6.6.6", "a\0", "a\tb", "\x1b"])
def test_no_value_breaks_out_of_its_line(field: str, value: str) -> None:
    given: dict[str, Any] = {field: ("fine", value)}
    with pytest.raises(InvalidArgument, match=rf"config\.dns_config\.{field}"):
        etc_files.resolv_conf(DnsConfig(**given))
