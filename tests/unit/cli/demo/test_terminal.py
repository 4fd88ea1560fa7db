import io
import re

import pytest

from criserver.cli.demo.terminal import Terminal


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_steps_are_told_with_their_times_and_notes() -> None:
    out = io.StringIO()
    with Terminal(out).step("pod", "making it") as step:
        step.text = "is ready"
        step.notes = ["network 49.0 ms", ""]
    first, second = out.getvalue().splitlines()
    assert re.fullmatch(r"  ✓ pod +is ready +\d+ ms", first)
    assert second.strip() == "network 49.0 ms"


def test_a_step_that_fails_is_told_and_the_error_goes_on() -> None:
    out = io.StringIO()
    with pytest.raises(OSError, match="no"), Terminal(out).step("pod", "making it"):
        raise OSError("no")
    assert re.fullmatch(r"  ✗ pod +making it +\d+ ms\n", out.getvalue())


def test_a_terminal_sees_the_step_under_way_and_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = Tty()
    with Terminal(out).step("pod", "making it"):
        assert "making it" in out.getvalue()
        assert out.getvalue().endswith("\r")
    assert "\x1b[32m✓\x1b[0m" in out.getvalue()


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_can_be_declined(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    out = Tty()
    Terminal(out).title("x")
    assert out.getvalue() == "\nx\n\n"


def test_columns_are_as_wide_as_they_need_be() -> None:
    out = io.StringIO()
    Terminal(out).table([("POD", "STATE"), ("demo/web", "Running"), ("x", "-")])
    assert out.getvalue().splitlines() == ["    POD       STATE", "    demo/web  Running", "    x         -"]
