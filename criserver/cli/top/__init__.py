"""`criserver top`: a live table of what pods and containers use."""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from typing import TYPE_CHECKING

from criserver.cli import settings
from criserver.errors import InvalidArgument

if TYPE_CHECKING:
    from criserver.cli.client import Client
    from criserver.cli.top.rows import Row

HELP = "show a live table of pods and containers: state, CPU, memory, pressure, restarts"
ORDERS = ("cpu", "memory", "name")


def arguments(parser: argparse.ArgumentParser) -> None:
    """How often, in which order, and in which form."""
    parser.add_argument("--once", action="store_true", help="print one table, of a second's use, and end")
    parser.add_argument("--json", action="store_true", help="print one JSON object, of a second's use, for programs")
    parser.add_argument("--interval", type=float, default=2.0, metavar="SECONDS", help="time between two (default: 2)")
    parser.add_argument("--sort", choices=ORDERS, default="cpu", help="the order of pods (default: cpu)")
    settings.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Show until Ctrl-C, or once."""
    from criserver.cli.client import Client

    if not 0.2 <= args.interval <= 3600:
        raise InvalidArgument(f"--interval: {args.interval:g} is not from 0.2 to 3600 seconds")
    with Client(settings.configuration(args)) as client:
        if args.json:
            print(json.dumps(_document(_second(client, args.sort)), indent=2))
        elif args.once:
            from criserver.cli.top.view import show

            show(_second(client, args.sort))
        else:
            with contextlib.suppress(KeyboardInterrupt):
                _live(client, args.interval, args.sort)
    return 0


def _second(client: Client, order: str) -> list[Row]:
    """Use between two readings, a little more than a second apart: a server may answer from a reading that old."""
    from criserver.cli.top.rows import look, rows

    before = look(client)
    time.sleep(1.1)
    return rows(look(client), before, order)


def _live(client: Client, interval: float, order: str) -> None:
    from rich.live import Live

    from criserver.cli.top.rows import look, rows
    from criserver.cli.top.view import screen

    before = look(client)
    found = rows(before, None, order)
    with Live(screen(found), screen=True, auto_refresh=False) as live:
        while True:
            live.update(screen(found), refresh=True)
            time.sleep(interval)
            now = look(client)
            found, before = rows(now, before, order), now


def _document(found: list[Row]) -> dict[str, object]:
    import dataclasses

    return {"pods": [dataclasses.asdict(row) for row in found]}
