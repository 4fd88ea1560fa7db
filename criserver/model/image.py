"""The image: its identity, its layers and the defaults that it gives a container's process."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from criserver.errors import InvalidArgument
from criserver.model.reference import parse_reference


@dataclass(frozen=True, slots=True)
class ImageDefaults:
    """What the image config says of the process (OCI image-spec config.md, "config")."""

    user: str = ""
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    working_dir: str = ""
    stop_signal: str = ""
    volumes: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer on disk. `number` names its directory, `diff_id` is the digest of its uncompressed tar.

    `size` is what the unpacked tree takes in bytes, `inodes` how many files it is, `record` what it is known again by
    (drivers.unpack.usage); "" for one that was unpacked before there were records.
    """

    number: int
    diff_id: str
    size: int
    inodes: int
    record: str = ""


_STORES = 100
"""Most additional stores."""


def layer_number(number: int, store: int) -> int:
    """The number by which layer `number` of additional store `store` (from 0) is known here: never one of our own."""
    return -(number * _STORES + store)


def layer_name(number: int) -> str:
    """A layer's directory, relative to the one of all layers, where additional stores have links to theirs.

    Short, since an overlay of many layers has to fit into a page of mount options.
    """
    if number > 0:
        return str(number)
    own, store = divmod(-number, _STORES)
    return f"{store_name(store)}/{own}"


def store_name(store: int) -> str:
    """The link to the layers of an additional store."""
    return f"s{store}"


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """What is kept of an image beside its layers and references. `pulled_at` is in nanoseconds since the epoch."""

    defaults: ImageDefaults = field(default_factory=ImageDefaults)
    annotations: Mapping[str, str] = field(default_factory=dict)
    pulled_at: int = 0
    artifact: str = ""


@dataclass(frozen=True, slots=True)
class Image:
    """An image on this node. `id` is the config's digest ("sha256:<hex>"); `layers` are layer numbers, lowest first.

    `size` is what the image costs on disk, in bytes, as the kubelet's image garbage collection counts it.
    `annotations` are those of the image's manifest. `artifact` is the type of an OCI artifact, whose `id` is the
    manifest's digest, and which can be mounted but has no root for a container; "" for an image.
    """

    id: str
    repo_tags: tuple[str, ...]
    repo_digests: tuple[str, ...]
    size: int
    layers: tuple[int, ...]
    defaults: ImageDefaults
    pinned: bool = False
    pulled_at: int = 0
    annotations: Mapping[str, str] = field(default_factory=dict)
    artifact: str = ""

    def digested(self, asked: str = "") -> str:
        """A reference by digest: of the repository that `asked` names, else of any; the id of an image of none."""
        repository = ""
        with contextlib.suppress(InvalidArgument):  # an id, say
            repository = parse_reference(asked).name
        digests = [each for each in self.repo_digests if each.startswith(f"{repository}@")] or self.repo_digests
        return next(iter(digests), self.id)


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """CRI AuthConfig. Its repr tells nothing, so that no log or traceback can show it."""

    username: str = ""
    password: str = ""
    auth: str = ""
    server_address: str = ""
    identity_token: str = ""
    registry_token: str = ""

    def __repr__(self) -> str:
        return "Credentials(…)"
