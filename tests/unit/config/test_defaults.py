"""The notations of what containers get without asking."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from criserver.config import defaults


def test_what_is_right() -> None:
    assert defaults.pair("A=b=c") == ("A", "b=c")
    assert defaults.pair("A=") == ("A", "")
    assert defaults.ulimit("nofile=1024:4096") == ("RLIMIT_NOFILE", 1024, 4096)
    assert defaults.ulimit("core=0") == ("RLIMIT_CORE", 0, 0)
    assert defaults.ulimit("memlock=64:-1") == ("RLIMIT_MEMLOCK", 64, defaults.UNLIMITED)
    assert defaults.mount("/a:/b/c") == ("/a", "/b/c", ("rw",))
    assert defaults.mount("/a:/b:ro,noexec") == ("/a", "/b", ("ro", "noexec"))
    assert [defaults.umask(text) for text in ("0022", "022", "77", "0")] == [0o22, 0o22, 0o77, 0]
    assert defaults.rate("/dev/sda 10") == ("/dev/sda", 10)
    assert [defaults.rate(f"/dev/a 5{unit}")[1] for unit in "KMG"] == [5000, 5_000_000, 5_000_000_000]
    assert defaults.zone("") == ""
    assert defaults.zone("Local") == "/etc/localtime"
    assert defaults.zone("America/Argentina/Ushuaia") == "/usr/share/zoneinfo/America/Argentina/Ushuaia"
    assert defaults.zone("Etc/GMT+1") == "/usr/share/zoneinfo/Etc/GMT+1"


@pytest.mark.parametrize(
    ("parse", "entry"),
    [
        (defaults.pair, "A"),
        (defaults.pair, "=b"),
        (defaults.pair, "A=\0"),
        (defaults.ulimit, "nofile"),
        (defaults.ulimit, "files=1:2"),
        (defaults.ulimit, "nofile=2:1"),
        (defaults.ulimit, "nofile=-1:1"),
        (defaults.ulimit, "nofile=1:99999999999999999999"),
        (defaults.ulimit, "NOFILE=1:2"),
        (defaults.mount, "/a"),
        (defaults.mount, "a:/b"),
        (defaults.mount, "/a:b"),
        (defaults.mount, "/a:/b/../c"),
        (defaults.mount, "/a:/"),
        (defaults.mount, "/a:/b:ro,"),
        (defaults.umask, "18"),
        (defaults.umask, "01777"),
        (defaults.umask, "u=rwx"),
        (defaults.rate, "/dev/sda"),
        (defaults.rate, "sda 10"),
        (defaults.rate, "/dev/sda 10T"),
        (defaults.rate, "/dev/sda 0"),
        (defaults.zone, "../../etc/shadow"),
        (defaults.zone, "/etc/shadow"),
        (defaults.zone, "Europe//Berlin"),
        (defaults.zone, "local time"),
    ],
)
def test_what_is_wrong(parse: Callable[[str], object], entry: str) -> None:
    with pytest.raises(ValueError, match="must"):
        parse(entry)
