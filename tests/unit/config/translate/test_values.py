from __future__ import annotations

import pytest

from criserver.config.translate import values


@pytest.mark.parametrize(("text", "expected"), [("5m0s", 300.0), ("1h", 3600.0), ("1.5s", 1.5), ("2h3m4s", 7384.0)])
def test_seconds(text: str, expected: float) -> None:
    assert values.seconds(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "5", "5ms"])
def test_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        values.seconds(text)


def test_level() -> None:
    assert values.level("warn") == "warning"
    with pytest.raises(ValueError, match="is no log level"):
        values.level("loud")


@pytest.mark.parametrize(
    ("text", "host", "port"), [("127.0.0.1:1338", "127.0.0.1", 1338), (":80", "127.0.0.1", 80), ("[::1]:9", "::1", 9)]
)
def test_address(text: str, host: str, port: int) -> None:
    assert (values.host(text), values.host_port(text)) == (host, port)


def test_numbers_and_lists() -> None:
    assert (values.port("0"), values.positive("-1"), values.positive(1024)) == (0, None, 1024)
    assert (values.nonempty_list("/a"), values.nonempty_list(["/a", "/b"])) == (["/a"], ["/a", "/b"])
