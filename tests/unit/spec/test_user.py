"""Who a process is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from criserver.errors import CriError, InvalidArgument
from criserver.model.security import ContainerSecurity, GroupsPolicy
from criserver.spec.user import MAX_ID, resolve

PASSWD = """root:x:0:0:root:/root:/bin/sh
www:x:33:33:web:/var/www:/bin/false
me:x:1000:1001::/home/me:/bin/sh
short:x:7:8
broken:x:-1:0::/:
big:x:4294967296:0::/:
4294967296:x:0:0::/root:
+0:x:0:0::/root:
"""
GROUP = """root:x:0:
web:x:33:
staff:x:50:me,www
extra:x:51:me
nogid:x:zero:nobody
"""


def who(image: str = "", **asked: object) -> tuple[int, int, tuple[int, ...]]:
    user = resolve(ContainerSecurity(**asked), image, PASSWD, GROUP).user  # type: ignore[arg-type]
    return user.uid, user.gid, user.additional_gids


@pytest.mark.parametrize(
    ("image", "wanted"),
    [
        ("", (0, 0, (0,))),
        ("me", (1000, 1001, (50, 51, 1001))),
        ("1000", (1000, 1001, (50, 51, 1001))),
        ("5000", (5000, 0, (0,))),
        ("5000:6000", (5000, 6000, (6000,))),
        ("me:web", (1000, 33, (33, 50, 51))),
        ("me:", (1000, 1001, (50, 51, 1001))),
        (":33", (0, 33, (33,))),
        ("short", (7, 8, (8,))),
    ],
)
def test_the_images_user(image: str, wanted: tuple[int, int, tuple[int, ...]]) -> None:
    assert who(image) == wanted


def test_name_and_home() -> None:
    found = resolve(ContainerSecurity(), "www", PASSWD, GROUP)
    assert (found.name, found.home) == ("www", "/var/www")
    assert resolve(ContainerSecurity(), "5000", PASSWD, GROUP).home == ""
    assert resolve(ContainerSecurity(), "", "", "").user.uid == 0


def test_the_request_counts_more() -> None:
    assert who("www", run_as_user=1000) == (1000, 1001, (50, 51, 1001))
    assert who("www", run_as_user=0) == (0, 0, (0,))
    assert who("www:staff", run_as_user=5000) == (5000, 0, (0,))
    assert who("www", run_as_username="me", run_as_group=7) == (1000, 7, (7, 50, 51))
    assert who("", run_as_user=1000, run_as_group=0) == (1000, 0, (0, 50, 51))


def test_groups_policy_and_primary_group_cve_2022_2995_cve_2023_25173() -> None:
    assert who("me", supplemental_groups=(1234, 50)) == (1000, 1001, (50, 51, 1001, 1234))
    strict = {"supplemental_groups_policy": GroupsPolicy.STRICT, "supplemental_groups": (1234,)}
    assert who("me", **strict) == (1000, 1001, (1001, 1234))
    assert who("", run_as_user=1000, run_as_group=77, **strict) == (1000, 77, (77, 1234))


@pytest.mark.parametrize(
    "image",
    [
        "nobody",
        "4294967296",
        "2147483648",
        "-1",
        "+0",
        "99999999999999999999999999999999999999",
        "0:4294967296",
        "0:-1",
        "0:none",
        "broken",
        "big",
        "１",
        "a b",
    ],
)
def test_never_root_by_mistake_cve_2026_46680_cve_2024_40635(image: str) -> None:
    with pytest.raises(InvalidArgument, match="the image's USER"):
        who(image)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"run_as_user": -1}, "run_as_user: -1"),
        ({"run_as_user": MAX_ID + 1}, "run_as_user: 2147483648"),
        ({"run_as_user": 2**32}, "run_as_user"),
        ({"run_as_user": 1, "run_as_group": 2**32}, "run_as_group"),
        ({"run_as_user": 1, "supplemental_groups": (2**31,)}, "supplemental_groups"),
        ({"run_as_user": 1, "run_as_username": "me"}, "only one of them"),
        ({"run_as_username": "nobody"}, "run_as_username 'nobody' is not in the image's /etc/passwd"),
        ({"run_as_username": "me:web"}, "run_as_username"),
        ({"run_as_username": "4294967296"}, "run_as_username"),
        ({"run_as_group": 5}, "run_as_group: 5 without run_as_user"),
    ],
)
def test_refusals(asked: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        who("", **asked)


def test_a_broken_group_file_is_said() -> None:
    with pytest.raises(InvalidArgument, match="gid of group 'x'"):
        resolve(ContainerSecurity(), "me", PASSWD, "x:x:99999999999:me\n")
    assert resolve(ContainerSecurity(), "me", PASSWD, "x:x:99999999999:\n").user.uid == 1000


@given(st.text(), st.text(), st.text())
def test_nothing_makes_it_fail_but_with_words(image: str, passwd: str, group: str) -> None:
    try:
        user = resolve(ContainerSecurity(), image, passwd, group).user
    except CriError:
        return
    assert 0 <= user.uid <= MAX_ID
    assert user.gid in user.additional_gids
