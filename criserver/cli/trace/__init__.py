"""`criserver trace`: how a pod came to be, stage by stage; or where it stands, while it is being made."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from criserver.cli import settings

HELP = "show how a pod came to be: each stage, its time, and what was asked of the kernel"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The pod, and in which form to tell of it."""
    parser.add_argument("pod", metavar="POD", help="a pod's name, namespace/name, id or the beginning of its id")
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--asked", action="store_true", help="print below each stage what it asked of the kernel")
    forms.add_argument("--html", metavar="FILE", help="write a page that needs nothing else, with all that was asked")
    forms.add_argument("--json", action="store_true", help="print everything as JSON, for programs")
    parser.add_argument("--all", action="store_true", help="also earlier pods of this name that are still known")
    settings.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Ask the running server, and print or write."""
    from criserver.cli.client import Client
    from criserver.cli.trace.pod import pods

    with Client(settings.configuration(args)) as client:
        answer = client.ask("Trace", {"pod": args.pod})
    if args.json:
        print(json.dumps(answer, indent=2))
        return 0
    found = pods(answer)
    if args.html:
        from criserver.cli.trace.page import page

        Path(args.html).write_text(page(found[-1]), encoding="utf-8")
        print(f"{args.html}: how {found[-1].name} came to be", file=sys.stderr)
        return 0
    from criserver.cli.trace.waterfall import show

    *earlier, last = found
    for each in found if args.all else [last]:
        show(each, asked=args.asked)
    if earlier and not args.all:
        print(f"\n{len(earlier)} earlier of this name: --all shows them", file=sys.stderr)
    return 0
