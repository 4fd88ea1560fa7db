"""`criserver wipe`: every pod of the running server removed, and its images on request. For taking a node apart."""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from criserver.cli import settings

if TYPE_CHECKING:
    from criserver.cli.client import Client

HELP = "stop and remove every pod of the running server, as before it is uninstalled"
AT_ONCE = 8
TIMEOUT = 180.0  # seconds for one pod: its containers are given no grace, plugins their time


def arguments(parser: argparse.ArgumentParser) -> None:
    """The shared flags, and what else goes."""
    settings.arguments(parser)
    parser.add_argument("--images", action="store_true", help="remove every image as well")
    parser.add_argument("--yes", action="store_true", help="do it; without this only say what would go")


def run(args: argparse.Namespace) -> int:
    """Remove, and print a line for each; 1 when something could not be removed, with the server's reason."""
    from criserver.cli.client import Client

    with Client(settings.configuration(args)) as client:
        pods = _pods(client)
        images = _images(client) if args.images else {}
        if not args.yes:
            for what in (*pods.values(), *images.values()):
                print(f"would remove {what}")
            print("nothing was removed: say --yes")
            return 0
        faults = [_remove(client, "pod", pods), _remove(client, "image", images)]
    return 1 if any(faults) else 0


def _pods(client: Client) -> dict[str, str]:
    """Names of all pods, ready or not, by id."""
    from criserver.api.pb import api_pb2 as cri
    from criserver.cli.client import errors

    with errors():
        items = client.runtime.ListPodSandbox(cri.ListPodSandboxRequest(), timeout=TIMEOUT).items
    return {each.id: f"pod {each.metadata.namespace}/{each.metadata.name}" for each in items}


def _images(client: Client) -> dict[str, str]:
    from criserver.api.pb import api_pb2 as cri
    from criserver.cli.client import errors

    with errors():
        images = client.images.ListImages(cri.ListImagesRequest(), timeout=TIMEOUT).images
    return {each.id: f"image {(*each.repo_tags, *each.repo_digests, each.id)[0]}" for each in images}


def _remove(client: Client, kind: str, things: dict[str, str]) -> int:
    """Remove all of a kind, some at a time; how many could not be."""
    from criserver.errors import CriError

    remove = _remove_pod if kind == "pod" else _remove_image

    def one(name: str) -> bool:
        try:
            remove(client, name)
        except CriError as error:
            print(f"{things[name]} is left: {error}")
            return False
        print(f"removed {things[name]}")
        return True

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return sum(not done for done in pool.map(one, things))


def _remove_pod(client: Client, pod: str) -> None:
    from criserver.api.pb import api_pb2 as cri
    from criserver.cli.client import errors

    with errors():
        client.runtime.StopPodSandbox(cri.StopPodSandboxRequest(pod_sandbox_id=pod), timeout=TIMEOUT)
        client.runtime.RemovePodSandbox(cri.RemovePodSandboxRequest(pod_sandbox_id=pod), timeout=TIMEOUT)


def _remove_image(client: Client, image: str) -> None:
    from criserver.api.pb import api_pb2 as cri
    from criserver.cli.client import errors

    with errors():
        client.images.RemoveImage(cri.RemoveImageRequest(image=cri.ImageSpec(image=image)), timeout=TIMEOUT)
