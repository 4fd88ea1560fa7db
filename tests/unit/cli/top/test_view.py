from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from criserver.cli.top.rows import Row
from criserver.cli.top.view import screen, show

MIB = 1 << 20
NGINX = Row("nginx", "running", "c" * 64, 3, 0.5, 60 * MIB, 64 * MIB, {"cpu": 12.4, "memory": 0.0, "io": 33.0})
JOB = Row("job", "exited", "d" * 64, 0)
WEB = Row("shop/web", "ready", "a" * 64, 3, 1.25, 61 * MIB, None, None, [NGINX, JOB])
LONG = Row("a-namespace-that-is-long/a-pod-whose-name-is-longer-[bold]still[/]", "not ready", "b" * 64, 0)


def console(width: int, height: int = 25) -> Console:
    return Console(file=StringIO(), width=width, height=height, highlight=False, color_system=None)


def lines(found: Console) -> list[str]:
    assert isinstance(found.file, StringIO)
    return [line.rstrip() for line in found.file.getvalue().splitlines()]


@pytest.mark.parametrize("width", [72, 80, 100, 111, 112, 113, 200])
def test_no_figure_is_cut_at_any_width(width: int) -> None:
    out = console(width)
    full = Row("main", "running", "c" * 64, 12, 15.25, 999 << 20, 999 << 20, {"cpu": 100, "memory": 100, "io": 100})
    show([LONG, full], console=out)
    text = lines(out)
    assert max(map(len, text)) <= width
    assert "RESTARTS" in text[1] and "MEMORY" in text[1] and "PSI" in text[1]
    assert "…" not in "".join(text).replace(text[2], "")
    assert "15.25" in text[3] and text[3].count("999 MiB") == 2 and "100 %" in text[3]
    assert ("[/]" in text[2]) is (width == 200)


@pytest.mark.parametrize("width", [80, 120])
def test_a_table(width: int) -> None:
    out = console(width)
    show([WEB, LONG], console=out)
    text = lines(out)
    assert max(map(len, text)) <= width
    assert text[0] == "2 pods  1 of 2 containers running   1.25 cores   61 MiB"
    assert text[1].startswith("POD / CONTAINER") and text[1].endswith("RESTARTS")
    assert text[3].split()[:8] == (
        ["├", "nginx", "running", "0.50", "60", "MiB", "64", "MiB"] if width == 80 else
        ["├", "nginx", "running", "0.50", "█████", "60", "MiB", "64"]
    )  # fmt: skip
    assert text[4].split()[:4] == ["└", "job", "exited", "–"]
    assert text[5].startswith("a-namespace-that-is-long")


def test_pressure_is_told_by_resource_where_there_is_room() -> None:
    narrow, wide = console(80), console(120)
    show([WEB], console=narrow)
    show([WEB], console=wide)
    assert "33 %" in lines(narrow)[3] and "12 %" not in lines(narrow)[3]
    assert [word for word in lines(wide)[3].split() if word.isdigit()][-4:] == ["12", "0", "33", "3"]


def test_a_screen_is_cut_at_its_height() -> None:
    out = console(80, height=8)
    out.print(screen([WEB] * 20, console=out))
    assert len(lines(out)) <= 8
