"""`criserver config`: what the server would run with."""

from __future__ import annotations

import argparse

from criserver.cli import settings
from criserver.config import dump

HELP = "print the effective configuration as YAML"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The shared flags, and --example."""
    settings.arguments(parser)
    parser.add_argument("--example", action="store_true", help="print every key at its default, with its meaning")


def run(args: argparse.Namespace) -> int:
    """Print the configuration; an error in it is told as `serve` would."""
    print(dump.example() if args.example else dump.effective(settings.configuration(args)), end="")
    return 0
