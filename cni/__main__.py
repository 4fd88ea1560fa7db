"""`python -m cni`: the operations of this package by hand, for trying a network without a container runtime.

Arguments in, JSON on standard output, a failure as one line on standard error and exit status 1 (2 for bad usage).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any

from . import (
    Attachment,
    Cache,
    CniError,
    ConfDir,
    Network,
    Plugins,
)
from .fields import FieldError, decode
from .files import is_namespace
from .request import Key

COMMANDS = {
    "add": "attach a container and print the result",
    "del": "detach a container",
    "check": "check that a container is attached as it should be",
    "status": "tell whether the network can take containers",
    "gc": "remove leftovers of containers that are no more",
    "version": "print the versions that the network's plugins speak",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    options = _parser().parse_args(argv)
    try:
        answer = asyncio.run(_run(options))
    except CniError as error:
        print(f"cni {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130  # what was begun has been undone
    print(json.dumps(answer, indent=2))
    return 0


async def _run(options: argparse.Namespace) -> dict[str, Any]:
    loaded = ConfDir(options.conf_dir).current()
    for file in loaded.broken:
        print(f"cni: skipped {file}", file=sys.stderr)
    cache = Cache(options.cache_dir)
    network = Network(loaded.network(options.network), Plugins(options.bin_dir or ["/opt/cni/bin"]), cache)
    name = network.config.name
    match options.command:
        case "add":
            return dict((await network.add(_attachment(options))).raw)
        case "del":
            await network.delete(_attachment(options))
            return {"network": name, "deleted": True}
        case "check":
            return {"network": name, "checked": await network.check(_attachment(options))}
        case "status":
            await network.status()
            return {"network": name, "ready": True}
        case "gc":
            deleted = await network.gc(_valid(options, cache, name))
            return {"network": name, "deleted": [{"containerID": i, "ifname": f} for i, f in deleted]}
        case _:
            return {"network": name, "plugins": {k: sorted(v) for k, v in (await network.versions()).items()}}


def _attachment(options: argparse.Namespace) -> Attachment:
    pairs = tuple((key, value) for key, _, value in (pair.partition("=") for pair in options.arg))
    try:
        capabilities = decode(options.capability_args.encode(), "--capability-args").value
    except FieldError as error:
        raise CniError(str(error)) from None
    return Attachment(options.id, options.netns, options.ifname, pairs, capabilities)


def _valid(options: argparse.Namespace, cache: Cache, network: str) -> set[Key]:
    """The attachments to keep: those given, else those of the cache whose network namespace is still there."""
    if options.valid is not None:
        return {
            (container_id, ifname or "eth0") for container_id, _, ifname in (v.partition(":") for v in options.valid)
        }
    remembered = (cached.attachment for cached in cache.attachments(network=network))
    return {(a.container_id, a.ifname) for a in remembered if is_namespace(a.netns)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cni", description="Run CNI plugins by hand.")
    commands = parser.add_subparsers(dest="command", required=True)
    for command, text in COMMANDS.items():
        sub = commands.add_parser(command, help=text, description=text)
        sub.add_argument("--conf-dir", default="/etc/cni/net.d", help="configurations (default: %(default)s)")
        sub.add_argument("--bin-dir", action="append", help="plugin programs; may be repeated (default: /opt/cni/bin)")
        sub.add_argument("--cache-dir", default="/var/lib/cni/attachments", help="remembered attachments (%(default)s)")
        sub.add_argument("--network", default="", help="network name (default: the first configuration's)")
        if command in ("add", "del", "check"):
            _attachment_options(sub)
        if command == "gc":
            sub.add_argument(
                "--valid", action="append", metavar="ID[:IFNAME]", help="keep this attachment; may be repeated"
            )
    return parser


def _attachment_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--id", required=True, help="container id")
    parser.add_argument("--netns", default="", help="path of the network namespace")
    parser.add_argument("--ifname", default="eth0", help="interface in the container (default: %(default)s)")
    parser.add_argument(
        "--arg", action="append", default=[], metavar="KEY=VALUE", help="CNI_ARGS pair; may be repeated"
    )
    parser.add_argument("--capability-args", default="{}", metavar="JSON", help="object of capability arguments")


if __name__ == "__main__":
    sys.exit(main())
