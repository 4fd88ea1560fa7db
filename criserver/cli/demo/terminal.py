"""What the demo looks like: steps with their times, tables, blocks. Colours only on a terminal that wants them."""

from __future__ import annotations

import os
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

WIDTH = 76  # columns up to a step's time
LABEL = 12


class Step:
    """A step under way: set `text` to what came of it, and `notes` to lines that belong under it."""

    def __init__(self) -> None:
        self.text = ""
        self.notes: list[str] = []


class Terminal:
    """Prints to `out`."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._tty = out.isatty()
        self._colour = self._tty and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"

    @contextmanager
    def step(self, label: str, doing: str) -> Iterator[Step]:
        """Tell `doing` while the block runs, and what it came to with its time when it has run."""
        if self._tty:
            self._print(f"  {self._style('…', 33)} {label:<{LABEL}}{self._style(doing, 2)}", end="\r")
        step, began = Step(), time.monotonic()
        try:
            yield step
        except BaseException:
            self._tell(self._style("✗", 31), label, step.text or doing, began)
            raise
        self._tell(self._style("✓", 32), label, step.text or doing, began)
        for line in (line for note in step.notes for line in textwrap.wrap(note, WIDTH)):
            self.say(" " * (4 + LABEL) + self._style(line, 2))

    def title(self, text: str) -> None:
        """A line that stands out, with space around it."""
        self.say(f"\n{self._style(text, 1)}\n")

    def say(self, text: str = "") -> None:
        """Plain lines."""
        self._print(text)

    def dim(self, text: str) -> None:
        """Lines that matter less."""
        self._print(self._style(text, 2))

    def block(self, heading: str, text: str) -> None:
        """Output of another program, under a heading."""
        self.say(f"\n  {self._style(heading, 36)}")
        for line in text.rstrip("\n").split("\n"):
            self.say(f"    {line}")

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Columns as wide as they need be; the first row is the heading."""
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        for number, row in enumerate(rows):
            cells = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            self.say(f"    {self._style(cells, 1) if number == 0 else cells}")

    def _tell(self, mark: str, label: str, text: str, began: float) -> None:
        took = f"{(time.monotonic() - began) * 1000:,.0f} ms"
        gap = max(1, WIDTH - 4 - LABEL - len(text) + 8 - len(took))
        clear = "\x1b[K" if self._tty else ""
        self._print(f"  {mark} {label:<{LABEL}}{text}{' ' * gap}{self._style(took, 2)}{clear}")

    def _style(self, text: str, code: int) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def _print(self, text: str, end: str = "\n") -> None:
        print(text, end=end, file=self._out, flush=True)
