"""`criserver config`: what the server would run with."""

from __future__ import annotations

import argparse

from criserver.cli import settings
from criserver.config import document, dump

HELP = "print the effective configuration as YAML"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The shared flags, and what else can be printed."""
    settings.arguments(parser)
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--example", action="store_true", help="print every key at its default, with its meaning")
    instead.add_argument("--from-containerd", metavar="FILE", help="print containerd's config.toml as one of ours")
    instead.add_argument("--from-crio", metavar="FILE", help="print CRI-O's crio.conf as one of ours")


def run(args: argparse.Namespace) -> int:
    """Print the configuration; an error in it is told as `serve` would."""
    print(_text(args), end="")
    return 0


def _text(args: argparse.Namespace) -> str:
    if args.example:
        return dump.example()
    if args.from_containerd:
        return _translated(args.from_containerd, "containerd")
    if args.from_crio:
        return _translated(args.from_crio, "crio")
    return dump.effective(settings.configuration(args))


def _translated(path: str, server: str) -> str:
    from criserver.config.translate.rules import translate
    from criserver.config.translate.servers import FROM

    return translate(path, document.read_bounded(path), FROM[server]).text(path)
