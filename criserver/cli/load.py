"""`criserver load`: images of an archive into a running server, without a registry."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from criserver.cli import settings

if TYPE_CHECKING:
    from criserver.cli.client import Client

HELP = "load the images of an archive (OCI layout or docker save) into the running server"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The archive, and the shared flags for the server's socket."""
    parser.add_argument("file", metavar="FILE", help="a tar of an OCI image layout, or what docker save wrote")
    settings.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Load, and print a line per image: its id and names."""
    from criserver.cli.client import Client

    with Client(settings.configuration(args)) as client:
        for image_id, names in load(client, args.file):
            print(image_id, *names)
    return 0


def load(client: Client, path: str) -> list[tuple[str, list[str]]]:
    """Load the archive file at `path` into the server; the id and names of each image. CriError as the server says."""
    answer = client.ask("Load", {"path": os.path.abspath(path)})
    return [(image["id"], image["names"]) for image in answer["images"]]
