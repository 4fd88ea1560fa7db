"""What an error says to a client."""

from __future__ import annotations

import pytest

from conmon.errors import ConmonError, describe, report


def test_words_for_people_stand_alone_and_surprises_have_their_kind() -> None:
    assert describe(ConmonError("told")) == "told"
    assert describe(KeyError("x")) == "KeyError: 'x'"


def test_report_prints_the_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    try:
        raise KeyError("surprise")
    except KeyError:
        report()
    text = capfd.readouterr().err
    assert "Traceback" in text and "surprise" in text
