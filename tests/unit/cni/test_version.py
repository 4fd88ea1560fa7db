from __future__ import annotations

import pytest

from cni.errors import IncompatibleVersion
from cni.version import KNOWN, SINCE, choose, known, listing, offered, supports, well_formed


def test_features_begin_where_the_specification_says() -> None:
    assert [v for v in KNOWN if supports(v, "STATUS")] == ["1.1.0"]
    assert [v for v in KNOWN if supports(v, "GC")] == ["1.1.0"]
    assert [v for v in KNOWN if supports(v, "CHECK")] == ["0.4.0", "1.0.0", "1.1.0"]
    assert [v for v in KNOWN if not supports(v, "prevResult")] == ["0.1.0", "0.2.0"]
    assert set(SINCE.values()) <= set(KNOWN)


@pytest.mark.parametrize("version", ["", "1", "1.0", "v1.0.0", "1.0.0\n", "1.0.0-" + "x" * 99, "١.٠.٠"])
def test_malformed_versions(version: str) -> None:
    assert not well_formed(version)
    assert not known(version)


def test_later_versions_beside_a_known_one_are_skipped() -> None:
    assert offered(["1.1.0", "9.0.0", "0.4.0"]) == ("0.4.0", "1.1.0")


def test_no_version_in_common_is_told_with_both_sides() -> None:
    with pytest.raises(IncompatibleVersion) as caught:
        offered(["2.0.0"])
    assert 'asks for "2.0.0"' in str(caught.value)
    assert '"1.1.0"' in str(caught.value)


def test_choose_takes_the_highest_that_all_speak() -> None:
    old, new = frozenset({"0.4.0", "1.0.0"}), frozenset(KNOWN)
    assert choose(("0.4.0", "1.0.0", "1.1.0"), [new, old]) == "1.0.0"
    assert choose(("0.4.0", "1.1.0"), [new]) == "1.1.0"
    assert choose(("1.1.0",), [old]) is None
    assert choose(("1.0.0",), []) == "1.0.0"


def test_listing_is_bounded() -> None:
    assert listing([]) == "none"
    assert listing(["1" * 99] * 99).count('"') == 24
    assert len(listing(["1" * 99] * 99)) < 500
