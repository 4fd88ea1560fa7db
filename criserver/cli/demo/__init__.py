"""`criserver demo`: a pod from nothing, told step by step; what `make run` shows.

Starts a server, builds an image from the host's own busybox, loads it, runs a pod with a web server in it, fetches its
page over the pod network, and takes everything away at Ctrl-C. Only the public ways in are used: the command line,
the CRI socket and the server's log. `show` is the script; the other modules are its means.
"""

from __future__ import annotations

import argparse

from criserver.cli import settings

HELP = "start a server, run a pod through it and show each step; Ctrl-C takes both away"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The shared flags, which the server is started with."""
    settings.arguments(parser)
    parser.add_argument("--once", action="store_true", help="do not wait for Ctrl-C: show, take away, and end")


def run(args: argparse.Namespace) -> int:
    """Show it; 0 when every step worked and everything was taken away."""
    from criserver.cli.demo import show

    return show.run(args)
