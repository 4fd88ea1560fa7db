"""`criserver serve`: the server, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import functools

from criserver.cli import settings

HELP = "serve the CRI until told to stop (SIGTERM, SIGINT)"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The shared flags."""
    settings.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Serve; returns when told to stop."""
    read = functools.partial(settings.configuration, args)
    read()  # What is wrong with the files is told before anything heavy is imported.
    from criserver.app import serve

    return serve(read)
