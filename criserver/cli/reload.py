"""`criserver reload`: the running server takes up its configuration files anew."""

from __future__ import annotations

import argparse

from criserver.cli import settings

HELP = "let the running server take up its configuration files anew, and say what changed"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The shared flags, for the server's socket."""
    settings.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """A line per change; the server's reason, and exit code 1, when it refuses the files as a whole."""
    from criserver.cli.client import Client

    with Client(settings.configuration(args)) as client:
        for line in client.ask("Reload", {})["lines"]:
            print(line)
    return 0
