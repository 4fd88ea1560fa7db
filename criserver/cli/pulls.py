"""`criserver pulls`: which images the running server is pulling, and how far it is."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from criserver.cli import settings

HELP = "show the pulls that run in the server now"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The shared flags for the server's socket."""
    settings.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print a line per pull."""
    from criserver.cli.client import Client

    with Client(settings.configuration(args)) as client:
        for line in lines(client.ask("Pulls", {})["pulls"]):
            print(line)
    return 0


def lines(pulls: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Each pull for a reader: image, stage, layers, bytes, time; the unknown is left out."""
    for pull in pulls:
        known = f"  {pull['layers']}/{pull['total_layers']} layers  {_share(pull)}" if pull["total_layers"] else ""
        yield f"{pull['image']}  {pull['stage']}{known}  {pull['seconds']:.0f} s"


def _share(pull: Mapping[str, Any]) -> str:
    return f"{pull['bytes'] / 1e6:.1f}/{pull['total_bytes'] / 1e6:.1f} MB"
