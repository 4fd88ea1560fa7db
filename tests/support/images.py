"""Images for tests, built from plain values: a tree as a dict, layers as bytes, OCI layouts, archives and indexes.

What may live here: bytes and files that look like images, good and hostile ones. It must not know the server.
Everything is reproducible (fixed times, sorted names), so that the same tree has the same digest in every run.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import json
import os
import platform
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
EPOCH = 1_700_000_000

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"


@dataclass(frozen=True)
class Node:
    """One tar entry without its name; `kind` is a type flag of tarfile."""

    kind: bytes = tarfile.REGTYPE
    data: bytes = b""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    target: str = ""
    device: tuple[int, int] = (0, 0)
    xattrs: Mapping[str, bytes] = field(default_factory=dict)
    mtime: float = EPOCH


Tree = Mapping[str, Node]


def file(data: bytes | str = b"", mode: int = 0o644, **more: Any) -> Node:
    """A regular file."""
    return Node(data=data.encode() if isinstance(data, str) else data, mode=mode, **more)


def directory(mode: int = 0o755, **more: Any) -> Node:
    """A directory."""
    return Node(tarfile.DIRTYPE, mode=mode, **more)


def symlink(target: str, **more: Any) -> Node:
    """A symbolic link."""
    return Node(tarfile.SYMTYPE, target=target, mode=0o777, **more)


def hardlink(target: str) -> Node:
    """A hard link to the entry named `target`; some readers give the link's mode to the file, so it is a program's."""
    return Node(tarfile.LNKTYPE, target=target, mode=0o755)


def device(major: int, minor: int, mode: int = 0o666, kind: bytes = tarfile.CHRTYPE) -> Node:
    """A device node, character by default."""
    return Node(kind, device=(major, minor), mode=mode)


def tar(entries: Tree | Iterable[tuple[str, Node]], format: int = tarfile.PAX_FORMAT) -> bytes:
    """An uncompressed layer. A mapping keeps its order; an iterable of pairs may name an entry twice."""
    pairs = entries.items() if isinstance(entries, Mapping) else entries
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for name, node in pairs:
            archive.addfile(_tarinfo(name, node), io.BytesIO(node.data))
    return out.getvalue()


def _tarinfo(name: str, node: Node) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.uid, info.gid = node.kind, node.mode, node.uid, node.gid
    info.size, info.mtime, info.linkname = len(node.data), node.mtime, node.target
    info.devmajor, info.devminor = node.device
    info.pax_headers = {
        f"SCHILY.xattr.{key}": value.decode("utf-8", "surrogateescape") for key, value in node.xattrs.items()
    }
    return info


@functools.lru_cache(maxsize=8)
def compress(data: bytes, how: str = "gzip") -> bytes:
    """`data` as "gzip", "zstd" or "none"."""
    if how == "gzip":
        return gzip.compress(data, 6, mtime=0)
    return zstandard.compress(data) if how == "zstd" else data


def digest(data: bytes) -> str:
    """The sha256 digest of `data`, as OCI descriptors spell it."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Document:
    """A manifest or index as bytes, with the blobs that it needs beneath it."""

    content: bytes
    media_type: str
    blobs: Mapping[str, bytes]
    children: tuple[Document, ...] = ()

    @property
    def digest(self) -> str:
        """Digest of the document itself."""
        return digest(self.content)


def image(
    *layers: Tree | bytes,
    config: Mapping[str, Any] | None = None,
    compression: str = "gzip",
    docker: bool = False,
    architecture: str = ARCHITECTURE,
    annotations: Mapping[str, str] | None = None,
) -> Document:
    """An image of `layers` (trees, or tars as bytes); `config` is the process part of the image config."""
    tars = [layer if isinstance(layer, bytes) else tar(layer) for layer in layers]
    configuration = {
        "created": "2024-01-01T00:00:00Z",
        "architecture": architecture,
        "os": "linux",
        "config": dict(config or {}),
        "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in tars]},
        "history": [{"created": "2024-01-01T00:00:00Z", "created_by": f"layer {n}"} for n in range(len(tars))],
    }
    return assemble(configuration, [compress(layer, compression) for layer in tars], compression, docker, annotations)


def assemble(
    configuration: Mapping[str, Any],
    blobs: list[bytes],
    compression: str = "gzip",
    docker: bool = False,
    annotations: Mapping[str, str] | None = None,
) -> Document:
    """A manifest over a config and finished layer blobs, whatever these hold."""
    config = json.dumps(configuration, sort_keys=True).encode()
    suffix = {"gzip": ".gzip" if docker else "+gzip", "zstd": "+zstd", "none": ""}[compression]
    layer_type = (DOCKER_LAYER if docker else OCI_LAYER) + suffix
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST if docker else OCI_MANIFEST,
        "config": descriptor(config, DOCKER_CONFIG if docker else OCI_CONFIG),
        "layers": [descriptor(blob, layer_type) for blob in blobs],
    }
    if annotations:
        manifest["annotations"] = dict(annotations)
    content = json.dumps(manifest, sort_keys=True).encode()
    return Document(content, manifest["mediaType"], {digest(blob): blob for blob in (config, *blobs)})


EMPTY, EMPTY_CONFIG = b"{}", "application/vnd.oci.empty.v1+json"


def artifact(files: Mapping[str, bytes], kind: str = "application/vnd.test.model") -> Document:
    """An OCI artifact of files by their titles, as ORAS makes it."""
    layers = [
        {**descriptor(data, "application/octet-stream"), "annotations": {"org.opencontainers.image.title": title}}
        for title, data in files.items()
    ]
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": kind,
        "config": descriptor(EMPTY, EMPTY_CONFIG),
        "layers": layers,
        "annotations": {"org.opencontainers.image.created": "2024-01-01T00:00:00Z"},
    }
    content = json.dumps(manifest, sort_keys=True).encode()
    return Document(content, OCI_MANIFEST, {digest(blob): blob for blob in (EMPTY, *files.values())})


def index(images: Mapping[str, Document]) -> Document:
    """A multi-platform index: architecture → image."""
    entries = [
        {
            **descriptor(document.content, document.media_type),
            "platform": {"architecture": architecture, "os": "linux"},
        }
        for architecture, document in images.items()
    ]
    content = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}, sort_keys=True).encode()
    return Document(content, OCI_INDEX, {}, tuple(images.values()))


def descriptor(data: bytes, media_type: str) -> dict[str, Any]:
    """An OCI descriptor of `data`."""
    return {"mediaType": media_type, "digest": digest(data), "size": len(data)}


def write_layout(path: Path, images: Mapping[str, Document]) -> Path:
    """An OCI image layout directory that holds `images` by reference name."""
    blobs = path / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for document in images.values():
        for name, blob in _all_blobs(document).items():
            (blobs / name.partition(":")[2]).write_bytes(blob)
    entries = [
        {
            **descriptor(document.content, document.media_type),
            "annotations": {"org.opencontainers.image.ref.name": reference},
        }
        for reference, document in images.items()
    ]
    (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
    return path


def write_archive(path: Path, images: Mapping[str, Document]) -> Path:
    """An oci-archive file (a tar of a layout)."""
    layout = write_layout(path.with_name(path.name + ".layout"), images)
    with tarfile.open(path, "w") as archive:
        for name in sorted(os.listdir(layout)):
            archive.add(layout / name, arcname=name)
    return path


def _all_blobs(document: Document) -> dict[str, bytes]:
    blobs = {document.digest: document.content, **document.blobs}
    for child in document.children:
        blobs |= _all_blobs(child)
    return blobs


def busybox_tree(binary: str = "/usr/bin/busybox") -> dict[str, Node]:
    """A small root: the machine's static busybox as hard links in /bin, users, groups and the usual directories."""
    tree = {f"{name}/": directory() for name in ("bin", "dev", "etc", "home", "proc", "root", "sys", "usr", "var")}
    tree |= {"tmp/": directory(0o1777), "usr/bin/": directory(), "usr/sbin/": directory(), "sbin/": directory()}
    tree |= {"var/run/": directory(), "var/www/": directory(), "var/log/": directory()}
    tree["bin/busybox"] = file(Path(binary).read_bytes(), 0o755)
    tree |= {f"bin/{applet}": hardlink("bin/busybox") for applet in applets(binary) if applet != "busybox"}
    tree["etc/passwd"] = file(PASSWD)
    tree["etc/group"] = file(GROUP)
    tree["etc/shadow"] = file("root:*:::::::\n", 0o640)
    return tree


def applets(binary: str = "/usr/bin/busybox") -> list[str]:
    """The applets that this busybox was built with."""
    return sorted(subprocess.run([binary, "--list"], capture_output=True, text=True, check=True).stdout.split())


PASSWD = """root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
"""
GROUP = """root:x:0:
daemon:x:1:
www-data:x:33:
nogroup:x:65534:
nobody:x:65533:
"""
