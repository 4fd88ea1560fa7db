"""Which capabilities a request comes to."""

import re
from pathlib import Path

import pytest

from criserver.errors import InvalidArgument
from criserver.model.security import Capabilities, ContainerSecurity
from criserver.spec.capabilities import ALL, DEFAULT, granted, sets, wanted, withheld

EVERY = frozenset(ALL)


def asked(add: tuple[str, ...] = (), drop: tuple[str, ...] = (), *, privileged: bool = False) -> ContainerSecurity:
    return ContainerSecurity(capabilities=Capabilities(add, drop), privileged=privileged)


def names(security: ContainerSecurity) -> set[str]:
    return {name.removeprefix("CAP_") for name in granted(security, DEFAULT, EVERY)}


def test_names_and_numbers_are_the_kernels() -> None:
    header = Path("/usr/include/linux/capability.h")
    if not header.exists():
        pytest.skip(f"{header} is missing: apt-get install linux-libc-dev")
    numbers = re.findall(r"^#define (CAP_[A-Z_]+)\s+([0-9]+)$", header.read_text(), re.MULTILINE)
    assert {name: int(number) for name, number in numbers}.items() <= {name: n for n, name in enumerate(ALL)}.items()


def test_default() -> None:
    assert names(asked()) == {name.removeprefix("CAP_") for name in DEFAULT}
    assert len(DEFAULT) == 14


@pytest.mark.parametrize("name", ["NET_ADMIN", "CAP_NET_ADMIN", "net_admin", "cap_net_admin"])
def test_names_are_taken_in_every_form(name: str) -> None:
    assert "NET_ADMIN" in names(asked(add=(name,)))
    assert "NET_ADMIN" not in names(asked(add=("ALL",), drop=(name,)))


def test_all() -> None:
    assert granted(asked(add=("ALL",)), DEFAULT, EVERY) == ALL
    assert names(asked(drop=("ALL",))) == set()
    assert names(asked(add=("CHOWN",), drop=("ALL",))) == {"CHOWN"}
    assert names(asked(add=("ALL",), drop=("ALL",))) == set()
    assert names(asked(add=("CHOWN",), drop=("CHOWN",), privileged=False)) == names(asked(drop=("CHOWN",)))


def test_privileged_has_all_whatever_is_dropped() -> None:
    assert granted(asked(drop=("ALL",), privileged=True), DEFAULT, EVERY) == ALL


def test_what_the_daemon_lacks_is_left_out_and_told() -> None:
    held = EVERY - {"CAP_SYS_RESOURCE"}
    security = asked(privileged=True)
    assert "CAP_SYS_RESOURCE" not in granted(security, DEFAULT, held)
    assert withheld(security, DEFAULT, held) == ("CAP_SYS_RESOURCE",)
    assert withheld(asked(), DEFAULT, held) == ()


@pytest.mark.parametrize("name", ["", "NO_SUCH", "CAP_", "CAP_ALL", "ALL "])
@pytest.mark.parametrize("place", ["add", "drop"])
def test_unknown_names_are_refused(name: str, place: str) -> None:
    with pytest.raises(InvalidArgument, match=f"{place}_capabilities"):
        wanted(ContainerSecurity(capabilities=Capabilities(**{place: (name,)})), DEFAULT)


def test_unknown_names_are_refused_in_privileged_containers_too() -> None:
    with pytest.raises(InvalidArgument):
        wanted(asked(add=("NO_SUCH",), privileged=True), DEFAULT)


def test_ambient_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="add_ambient_capabilities: CHOWN"):
        wanted(ContainerSecurity(capabilities=Capabilities(add_ambient=("CHOWN",))), DEFAULT)


def test_inheritable_and_ambient_are_empty_cve_2022_27652() -> None:
    result = sets(DEFAULT)
    assert result["inheritable"] == result["ambient"] == []
    assert result["bounding"] == result["effective"] == result["permitted"] == list(DEFAULT)
