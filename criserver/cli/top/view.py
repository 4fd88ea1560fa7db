"""The table of `criserver top`, for terminals of any width."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from criserver.cli.status.view import COLOURS
from criserver.cli.top.rows import Row
from criserver.cli.words import counted, size

_WIDE: Final = 112
_OTHERS: Final = {True: 84, False: 55}  # what all columns but the first take, in a wide table and in a narrow one
_LEAST: Final = 12
_BAR: Final = 10
_BLOCKS: Final = " ▏▎▍▌▋▊▉█"


def show(rows: Sequence[Row], *, console: Console | None = None) -> None:
    """Print the table."""
    console = console or Console(highlight=False)
    console.print(_summary(rows))
    console.print(_table(rows, console.width))


def screen(rows: Sequence[Row], *, console: Console | None = None) -> Group:
    """The table as a whole screen, cut at its height."""
    console = console or Console()
    lines = max(3, console.height - 4)
    return Group(
        _summary(rows, clock=time.strftime("%H:%M:%S")), _table(rows, console.width, most=lines)
    )


def _summary(rows: Sequence[Row], clock: str = "") -> Text:
    inside = [each for row in rows for each in row.containers]
    running = sum(each.state == "running" for each in inside)
    used, memory = sum(row.cores or 0.0 for row in rows), sum(row.memory or 0 for row in rows)
    parts = [
        (counted(len(rows), "pod"), "bold"), (f"  {running} of {counted(len(inside), 'container')} running", ""),
        (f"   {used:.2f} cores", "bold"), (f"   {size(memory)}", "bold"), (f"   {clock}" if clock else "", "dim"),
    ]  # fmt: skip
    return Text.assemble(*parts)


def _table(rows: Sequence[Row], width: int, *, most: int | None = None) -> Table:
    """Names alone give way where the terminal is narrow: a figure that is cut off is worth nothing."""
    wide = width >= _WIDE
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0), expand=False)
    table.add_column("POD / CONTAINER", overflow="ellipsis", no_wrap=True, max_width=max(_LEAST, width - _OTHERS[wide]))
    table.add_column("STATE", no_wrap=True)
    table.add_column("CPU", justify="right", no_wrap=True)
    if wide:
        table.add_column("", no_wrap=True)
    table.add_column("MEMORY", justify="right", no_wrap=True)
    table.add_column("LIMIT", justify="right", no_wrap=True)
    if wide:
        for title in ("PSI CPU", "MEM", "IO"):
            table.add_column(title, justify="right", no_wrap=True)
    else:
        table.add_column("PSI", justify="right", no_wrap=True)
    table.add_column("RESTARTS", justify="right", no_wrap=True)
    lines = [line for row in rows for line in _lines(row, wide)]
    for cells in lines[:most]:
        table.add_row(*cells)
    return table


def _lines(row: Row, wide: bool) -> Iterator[list[Text]]:
    yield _cells(row, row.name, "bold", wide)
    for number, each in enumerate(row.containers, 1):
        branch = "└" if number == len(row.containers) else "├"
        yield _cells(each, f" {branch} {each.name}", "", wide)


def _cells(row: Row, name: str, style: str, wide: bool) -> list[Text]:
    nothing = Text("–", "dim")
    full = row.limit is not None and row.memory is not None and row.memory > 0.9 * row.limit
    cells = [
        Text(name, style),
        Text(row.state, COLOURS.get(row.state, "")),
        Text(f"{row.cores:.2f}", style) if row.cores is not None else nothing,
        *([_bar(row.cores)] if wide else []),
        Text(size(row.memory), "red" if full else style) if row.memory is not None else nothing,
        Text(size(row.limit), "dim") if row.limit is not None else nothing,
    ]
    if row.pressure is None:
        cells += [nothing] * (3 if wide else 1)
    elif wide:
        cells += [_percent(row.pressure[name]) for name in ("cpu", "memory", "io")]
    else:
        cells.append(_percent(max(row.pressure.values())))
    return [*cells, Text(str(row.restarts), "yellow" if row.restarts else "dim")]


def _bar(cores: float | None) -> Text:
    """One core is the whole bar; more is full and red."""
    eighths = min(round((cores or 0.0) * _BAR * 8), _BAR * 8)
    text = "█" * (eighths // 8) + (_BLOCKS[eighths % 8] if eighths % 8 else "")
    return Text(text.ljust(_BAR), "red" if (cores or 0.0) > 1.05 else "cyan")


def _percent(share: float) -> Text:
    return Text(f"{share:.0f} %", "red" if share >= 20 else "yellow" if share >= 5 else "dim")
