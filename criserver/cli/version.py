"""`criserver version`."""

from __future__ import annotations

import argparse

import criserver

HELP = "print the version"


def arguments(parser: argparse.ArgumentParser) -> None:
    """None."""


def run(args: argparse.Namespace) -> int:
    """Print the version."""
    print(f"criserver {criserver.__version__}")
    return 0
