"""The command line: which commands there are, and what becomes of their errors."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Protocol

from criserver.cli import check, config, demo, doctor, load, pulls, reload, serve, status, top, trace, version, wipe
from criserver.errors import CriError


class Command(Protocol):
    """What a command module has."""

    HELP: str

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's arguments."""
        ...

    def run(self, args: argparse.Namespace) -> int:
        """Do it; returns the exit code. CriError is told by the caller."""
        ...


COMMANDS: dict[str, Command] = {
    "serve": serve,
    "config": config,
    "reload": reload,
    "load": load,
    "pulls": pulls,
    "check": check,
    "status": status,
    "top": top,
    "trace": trace,
    "doctor": doctor,
    "demo": demo,
    "wipe": wipe,
    "version": version,
}


def parser() -> argparse.ArgumentParser:
    """The whole command line; help, manual pages and completions are made of it."""
    top = argparse.ArgumentParser(prog="criserver", description="A Kubernetes CRI server.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        sub = commands.add_parser(name, help=command.HELP, description=f"{command.HELP[0].upper()}{command.HELP[1:]}.")
        command.arguments(sub)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. A CriError becomes one line on standard error."""
    args = parser().parse_args(argv)
    try:
        return COMMANDS[args.command].run(args)
    except CriError as error:
        print(f"criserver: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1  # the reader of our output has gone (`criserver config | head -1`)
