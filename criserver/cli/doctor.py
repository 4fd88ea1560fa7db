"""`criserver doctor`: what on this host keeps pods from running, or will, and the command that mends it."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from criserver.cli import settings

if TYPE_CHECKING:
    from criserver.doctor.examination import Topic
    from criserver.doctor.finding import Finding

HELP = "look at this host, before a server runs on it or while one does, and say what keeps pods from running"
SIGNS = {"ok": "✓", "note": "·", "warning": "!", "error": "✗"}
COLOURS = {"ok": "32", "note": "36", "warning": "33", "error": "31"}
WIDTH = 110


def arguments(parser: argparse.ArgumentParser) -> None:
    """The shared flags, and --json."""
    settings.arguments(parser)
    parser.add_argument("--json", action="store_true", help="findings as JSON, for programs")


def run(args: argparse.Namespace) -> int:
    """Print the findings; 0 when pods can run here, 1 when something must be mended before."""
    from criserver.doctor.examination import examine
    from criserver.doctor.finding import Severity

    topics = asyncio.run(examine(settings.configuration(args)))
    errors = [each for topic in topics for each in topic.findings if each.severity is Severity.ERROR]
    if args.json:
        print(json.dumps(document(topics, can_run=not errors), indent=2))
    else:
        print("\n".join(lines(topics, colour=sys.stdout.isatty())))
    return 1 if errors else 0


def document(topics: Iterable[Topic], *, can_run: bool) -> dict[str, Any]:
    """The findings for programs."""
    findings = [
        {
            "topic": topic.name, "severity": str(each.severity), "what": each.what, "meaning": each.meaning,
            "fix": each.fix,
        }
        for topic in topics
        for each in topic.findings
    ]  # fmt: skip
    return {"podsCanRun": can_run, "findings": findings}


def lines(topics: Sequence[Topic], *, colour: bool) -> Iterator[str]:
    """The findings for people, topic by topic, and what they come to."""
    for topic in topics:
        yield topic.name
        for each in topic.findings:
            yield from _told(each, colour)
    count = {name: sum(each.severity == name for topic in topics for each in topic.findings) for name in SIGNS}
    yield ""
    if count["error"]:
        yield f"Pods cannot run here yet: {_number(count['error'], 'thing')} to mend first (✗)."
    else:
        rest = f"; {_number(count['warning'], 'thing')} will break some of them (!)" if count["warning"] else ""
        yield f"Pods can run here{rest}."


def _told(each: Finding, colour: bool) -> Iterator[str]:
    sign = SIGNS[each.severity]
    if colour:
        sign = f"\x1b[{COLOURS[each.severity]}m{sign}\x1b[0m"
    what, *more = textwrap.wrap(each.what, WIDTH)
    yield f"  {sign} {what}"
    yield from (f"    {line}" for line in more)
    yield from (f"    {line}" for line in textwrap.wrap(each.meaning, WIDTH))
    if each.fix:
        yield f"    → {each.fix}"


def _number(count: int, noun: str) -> str:
    return f"one {noun}" if count == 1 else f"{count} {noun}s"
