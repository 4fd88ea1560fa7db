"""A pod's stages as a waterfall in a terminal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from criserver.cli.trace.gist import gist, shortened
from criserver.cli.trace.pod import Pod, duration, group, with_spec
from criserver.observe.timings import Stage
from criserver.observe.trace import Trace

COLOURS: Final = {
    "the server's own database": "bright_black",
    "namespaces": "magenta",
    "network": "blue",
    "cgroups": "yellow",
    "mounts and files": "green",
    "processes and the runtime": "red",
}
_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
_NAME, _TIME, _LEAST, _MOST = 16, 9, 20, 100


def show(pod: Pod, *, asked: bool = False, console: Console | None = None) -> None:
    """Print it; `asked`: with what each stage asked of the kernel."""
    console = console or Console(highlight=False)
    console.print(f"[bold]{escape(pod.name)}[/]  [dim]{pod.sandbox_id[:13]}[/]")
    before: Trace | None = None
    for operation in pod.operations:
        _head(console, pod, operation, before)
        width = max(_LEAST, min(_MOST, console.width - _NAME - _TIME - 4))
        for stage in operation.stages:
            console.print(_row(pod, operation, stage, width), no_wrap=True, crop=True)
            if asked:
                _asked(console, operation, stage)
        _tail(console, pod, operation)
        before = operation
    used = dict.fromkeys(group(stage) for each in pod.operations for stage in each.stages)
    console.print()
    console.print(Text("  ").join(Text.assemble(("█ ", COLOURS[name]), (name, "dim")) for name in used))


def _head(console: Console, pod: Pod, operation: Trace, before: Trace | None) -> None:
    clock = datetime.fromtimestamp(operation.began / 1e9, UTC).strftime("%H:%M:%S.%f")[:-3]
    later = (operation.began - before.began) / 1e9 - pod.took(before) if before else 0.0
    gap = f" [dim]+{duration(later)} later[/]" if later > 0.0005 else ""
    what = f" [cyan]{escape(operation.container)}[/]" if operation.container else ""
    state = " [yellow]still runs[/]" if operation.took is None else ""
    console.print()
    console.print(
        f"[bold]{operation.operation}[/]{what}  {duration(pod.took(operation))}{state}  [dim]{clock}Z[/]{gap}"
    )


def _row(pod: Pod, operation: Trace, stage: Stage, width: int) -> Text:
    taken, total = pod.lasted(operation, stage), max(pod.took(operation), 1e-6)
    style = "bold red" if stage.failed else "yellow" if stage.duration is None else ""
    mark = " ✗" if stage.failed else " …" if stage.duration is None else ""
    return Text.assemble(
        (f"  {stage.name}{mark}"[: _NAME + 2].ljust(_NAME + 2), style),
        bar(stage.start / total, taken / total, width, COLOURS[group(stage)]),
        (duration(taken).rjust(_TIME + 1), style or "default"),
    )


def _asked(console: Console, operation: Trace, stage: Stage) -> None:
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True, min_width=12)
    table.add_column(ratio=1, overflow="fold")
    table.add_column(justify="right", no_wrap=True, min_width=_TIME)
    for each in with_spec(operation, stage):
        text = Text(shortened(each.what), "red" if each.failed else "default")
        for found in gist(each):
            text.append(f"\n→ {found}", "dim")
        table.add_row(Text(f"    {each.kind}", "dim"), text, Text(duration(each.took) if each.took else "", "dim"))
    if stage.more:
        table.add_row("", Text(f"and {stage.more} more", "dim"), "")
    console.print(table)


def _tail(console: Console, pod: Pod, operation: Trace) -> None:
    if operation.error:
        console.print(f"  [red]failed:[/] {escape(operation.error)}")
    if operation.took is None:
        for stage in operation.stages:
            if stage.duration is None:
                since = duration(pod.lasted(operation, stage))
                console.print(f"  [yellow]in stage {stage.name} since {since}[/]")


def bar(start: float, length: float, width: int, colour: str) -> Text:
    """A bar that begins at `start` and is `length` long, both as shares of `width` characters; never invisible."""
    first = min(round(start * width * 8), width * 8 - 1)
    last = max(first + 1, min(round((start + length) * width * 8), width * 8))
    cells, lead = [], first // 8
    for cell in range(lead, -(-last // 8)):
        fill = min(last - cell * 8, 8)
        # A block character fills from the left: what begins within a cell begins with the cell.
        cells.append(_EIGHTHS[max(1, fill)])
    text = Text(" " * lead + "".join(cells), style=colour)
    text.pad_right(width - len(text))
    return text
