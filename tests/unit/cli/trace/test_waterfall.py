"""What a terminal shows, at its widths."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from criserver.cli.trace.pod import pods
from criserver.cli.trace.waterfall import bar, show
from tests.unit.cli.trace.kit import FAILED, RUNS, WHOLE


def shown(answer: dict[str, Any], width: int = 80, *, asked: bool = False) -> list[str]:
    out = StringIO()
    show(pods(answer)[0], asked=asked, console=Console(file=out, width=width, highlight=False, color_system=None))
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 120])
def test_a_waterfall(width: int) -> None:
    lines = shown(WHOLE, width)
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("shop/<b>web</b>")
    (network,) = [line for line in lines if line.startswith("  network")]
    (namespaces,) = [line for line in lines if line.startswith("  namespaces")]
    assert network.endswith(" 90 ms") and namespaces.endswith(" 10 ms")
    assert network.count("█") > 0.8 * namespaces.count("█") * 9 > 0
    assert network.index("█") > namespaces.index("█")
    assert any(line.startswith("CreateContainer <i>nginx  50 ms") and "+900 ms later" in line for line in lines)


def test_what_was_asked() -> None:
    text = "\n".join(shown(WHOLE, 120, asked=True))
    assert "CNI_COMMAND=ADD /opt/cni/bin/bridge" in text
    assert "→ eth0 has 10.0.0.5/24" in text
    assert "and 2 more" in text


def test_a_running_request_says_in_which_stage_it_is_and_since_when() -> None:
    lines = shown(RUNS)
    assert any("still runs" in line for line in lines)
    assert "  in stage network since 4.99 s" in lines


def test_a_failure_says_why_and_steers_no_terminal() -> None:
    lines = shown(FAILED)
    assert "  failed: no [bold]address[/]" in lines
    assert any(line.startswith("  network ✗") for line in lines)


def test_bars_are_within_their_width_and_never_invisible() -> None:
    for start in (0.0, 0.3, 0.999, 1.0):
        for length in (0.0, 0.001, 0.5, 1.0):
            text = bar(start, length, 20, "red").plain
            assert len(text) == 20
            assert text.strip()
