"""`criserver load`: images of an archive into a running server, without a registry."""

from __future__ import annotations

import argparse

from criserver.cli import settings

HELP = "load the images of an OCI archive into the running server"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The archive, and the shared flags for the server's socket."""
    parser.add_argument("file", metavar="FILE", help="an oci-archive (a tar of an OCI image layout)")
    settings.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Load, and print each image's id and names."""
    raise NotImplementedError
