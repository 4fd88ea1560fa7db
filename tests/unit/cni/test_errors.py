from __future__ import annotations

import pytest

from cni.errors import (
    BY_CODE,
    CniError,
    PluginCrashed,
    PluginError,
    SeveralErrors,
    TryAgainLater,
    from_code,
    printable,
    raise_all,
)


def test_every_well_known_code_has_its_own_exception() -> None:
    assert sorted(BY_CODE) == [1, 2, 3, 4, 5, 6, 7, 11, 50, 51]
    assert len(set(BY_CODE.values())) == len(BY_CODE)
    for code, kind in BY_CODE.items():
        assert type(from_code(code, "m")) is kind


@pytest.mark.parametrize("code", [0, 8, 99, 100, 999, -3])
def test_other_codes_are_plugin_errors_that_keep_their_number(code: int) -> None:
    error = from_code(code, "m")
    assert type(error) is PluginError
    assert error.code == code


def test_the_text_names_plugin_command_words_and_code() -> None:
    error = from_code(11, "busy", details="pool is locked", plugin="bridge", command="ADD")
    assert isinstance(error, TryAgainLater)
    assert str(error) == 'plugin "bridge" ADD: busy: pool is locked (CNI code 11)'
    assert str(CniError("plain")) == "plain"


def test_the_text_tells_that_undoing_failed_too() -> None:
    error = PluginCrashed("died", plugin="a", command="ADD")
    error.undo_error = PluginCrashed("died again", plugin="b", command="DEL")
    assert str(error) == 'plugin "a" ADD: died; undoing it failed too: plugin "b" DEL: died again'


def test_foreign_words_cannot_forge_log_lines_or_flood_them() -> None:
    assert printable("a\nlevel=error\x1b[31m\ud800z") == "a level=error [31m z"
    assert printable("x" * 5000) == "x" * 4096 + " [... 904 more characters]"
    str(CniError("\ud800", details="\udfff", plugin="\n")).encode()


def test_raise_all_raises_nothing_one_or_several() -> None:
    raise_all([])
    one, two = TryAgainLater("first"), CniError("second")
    with pytest.raises(TryAgainLater):
        raise_all([one])
    with pytest.raises(SeveralErrors) as caught:
        raise_all([one, two])
    assert caught.value.errors == (one, two)
    assert caught.value.code == 11
    assert "first" in str(caught.value)
    assert "second" in str(caught.value)
