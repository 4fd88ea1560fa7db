"""`criserver status`: the running server, what it needs, and what runs on it."""

from __future__ import annotations

import argparse
import json

from criserver.cli import settings

HELP = "show the running server: conditions, versions, configuration, pods and containers"
SHOWN = 15


def arguments(parser: argparse.ArgumentParser) -> None:
    """How much to show, and in which form."""
    parser.epilog = "Exit code: 0 when every condition holds, 1 when one does not or no server answers."
    parser.add_argument("--all", action="store_true", help=f"every pod, not the newest {SHOWN} alone")
    parser.add_argument("--json", action="store_true", help="print one JSON object, for programs")
    settings.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Ask the running server, and print."""
    from criserver.cli.client import Client
    from criserver.cli.status.node import look
    from criserver.cli.status.view import show

    with Client(settings.configuration(args)) as client:
        node = look(client)
    if args.json:
        print(json.dumps(node, indent=2))
    else:
        show(node, most=None if args.all else SHOWN)
    return 0 if all(each["status"] for each in node["conditions"]) else 1
