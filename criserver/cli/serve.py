"""`criserver serve`: the server, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse

from criserver.cli import settings

HELP = "serve the CRI until told to stop (SIGTERM, SIGINT)"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The shared flags."""
    settings.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Serve; returns when told to stop."""
    config = settings.configuration(args)
    from criserver.app import serve

    return serve(config)
