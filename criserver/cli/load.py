"""`criserver load`: images of an archive into a running server, without a registry.

The server reads the file itself, so what comes through a pipe is put down first, where there is room for it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from criserver.cli import settings
from criserver.errors import FailedPrecondition

if TYPE_CHECKING:
    from criserver.cli.client import Client

_SPOOL = "/var/tmp"  # on a disk, unlike /tmp, and both the command and the server see it
HELP = "load the images of an archive (OCI layout or docker save) into the running server"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The archive, and the shared flags for the server's socket."""
    parser.add_argument(
        "file", metavar="FILE", help="a tar of an OCI image layout, or what docker save wrote; - is standard input"
    )
    settings.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Load, and print a line per image: its id and names."""
    from criserver.cli.client import Client

    with Client(settings.configuration(args)) as client, _named(args.file, sys.stdin.buffer) as path:
        for image_id, names in load(client, path):
            print(image_id, *names)
    return 0


@contextmanager
def _named(file: str, stdin: BinaryIO) -> Iterator[str]:
    """The path of the archive; a copy of standard input, for as long as the context lasts, for "-".

    FailedPrecondition when there is no room for the copy.
    """
    if file != "-":
        yield file
        return
    with tempfile.NamedTemporaryFile(prefix="criserver-load-", suffix=".tar", dir=_SPOOL) as copy:
        try:
            shutil.copyfileobj(stdin, copy, 1 << 20)
            copy.flush()
        except OSError as error:
            raise FailedPrecondition(f"standard input cannot be kept in {copy.name}: {error.strerror}") from error
        yield copy.name


def load(client: Client, path: str) -> list[tuple[str, list[str]]]:
    """Load the archive file at `path` into the server; the id and names of each image. CriError as the server says."""
    answer = client.ask("Load", {"path": os.path.abspath(path)})
    return [(image["id"], image["names"]) for image in answer["images"]]
