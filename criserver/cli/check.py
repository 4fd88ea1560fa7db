"""`criserver check`: whether the state of the node is what the kernel and the disk have."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from criserver.cli import settings
from criserver.errors import CriError

HELP = "compare state with kernel and disk: what is missing, left over or damaged"
FOUND, UNCHECKED = 1, 2
"""Exit codes; 0 is a node in order."""
_WIDTH = 110


def arguments(parser: argparse.ArgumentParser) -> None:
    """What to do about findings, how to print them, and the shared flags for the server's socket."""
    parser.epilog = "Exit code: 0 when nothing is wrong (any more), 1 when something is, 2 when no server answers."
    parser.add_argument(
        "--repair", action="store_true",
        help="give back what nobody claims; pull damaged images again that no container uses, or remove them",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object, for programs")
    settings.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Ask the running server, print what it answers."""
    from criserver.cli.client import Client

    try:
        config = settings.configuration(args)
        with Client(config) as client:
            answer = client.ask("Check", {"repair": args.repair})
    except CriError as error:
        print(f"criserver: cannot check: {error}", file=sys.stderr)
        return UNCHECKED
    print(json.dumps(answer, indent=2) if args.json else "\n".join(lines(answer)))
    return FOUND if answer["findings"] else 0


def lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """The answer for people: what was done, then findings by their verdict, then one line that sums up."""
    yield from answer["done"]
    findings: Sequence[Mapping[str, str]] = answer["findings"]
    for verdict in dict.fromkeys(each["verdict"] for each in findings):
        yield f"{verdict}:"
        for each in findings:
            if each["verdict"] == verdict:
                yield from _shown(each)
    count = len(findings)
    yield f"{count} thing{'s are' if count > 1 else ' is'} wrong" if count else "everything is in order"


def _shown(finding: Mapping[str, str]) -> Iterator[str]:
    whole = f"  (id {finding['id']})" if finding["id"] and not finding["owner"].startswith(finding["id"][:13]) else ""
    yield f"  {finding['what']} of {finding['owner']}{whole}"
    for text in (finding["where"], f"→ {finding['hint']}" if finding["hint"] else ""):
        for line in textwrap.wrap(text, _WIDTH, subsequent_indent="  ", break_long_words=False):
            yield f"      {line}"
