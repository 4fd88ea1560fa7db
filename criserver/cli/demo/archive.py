"""A small image from the host's own busybox, as an OCI archive: no registry and no base image needed.

Layout: oci-layout, index.json and blobs in a tar (OCI image-spec, image-layout.md); one layer, uncompressed. A busybox
that is linked dynamically brings its libraries along. Equal inputs give equal bytes, so equal image ids.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import re
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from criserver.cli.demo import programs
from criserver.errors import FailedPrecondition

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_TYPE = "application/vnd.oci.image."


@dataclass(frozen=True, slots=True)
class Busybox:
    """The host's busybox: where it is, its commands, and the libraries that it loads (none when it is static)."""

    path: str
    applets: tuple[str, ...]
    libraries: tuple[str, ...]


def find_busybox() -> Busybox:
    """The busybox in PATH; FailedPrecondition when there is none."""
    path = shutil.which("busybox")
    if path is None:
        raise FailedPrecondition("no busybox in PATH: apt-get install busybox-static")
    applets = programs.output(path, "--list").split()
    # ldd lists `name => path (address)` and the loader as `path (address)`; for a static binary it fails
    libraries = re.findall(r"(/\S+) \(0x", programs.output("ldd", path))
    return Busybox(os.path.realpath(path), tuple(applets), tuple(libraries))


def write(path: str, reference: str, files: Mapping[str, bytes], command: tuple[str, ...], busybox: Busybox) -> int:
    """Write the archive of an image named `reference` to `path`; its size in bytes.

    `files` are added to the root by their absolute paths, `command` is the image's default command.
    """
    layer = _layer(busybox, files)
    machine = platform.machine()
    config = _json(
        {
            "architecture": _MACHINES.get(machine, machine),
            "os": "linux",
            "config": {"Cmd": list(command), "Env": ["PATH=/bin"], "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": f"{_TYPE}manifest.v1+json",
            "config": _descriptor(f"{_TYPE}config.v1+json", config),
            "layers": [_descriptor(f"{_TYPE}layer.v1.tar", layer)],
        }
    )
    named = _descriptor(f"{_TYPE}manifest.v1+json", manifest)
    # the whole name where Docker and containerd write it, for ref.name is a tag alone to many readers
    tag = reference.rpartition(":")[2]
    named["annotations"] = {"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": tag}
    members = {"oci-layout": _json({"imageLayoutVersion": "1.0.0"})}
    members["index.json"] = _json({"schemaVersion": 2, "manifests": [named]})
    members |= {f"blobs/sha256/{_digest(blob)[7:]}": blob for blob in (config, layer, manifest)}
    data = _tar([(name, blob, 0o644) for name, blob in members.items()])
    with open(path, "wb") as file:
        return file.write(data)


def _layer(busybox: Busybox, files: Mapping[str, bytes]) -> bytes:
    entries: list[tuple[str, bytes | str, int]] = [("bin/busybox", _read(busybox.path), 0o755)]
    # hard links, not symbolic ones: a mask over one command must not mask all of them
    entries += [(f"bin/{name}", "bin/busybox", 0o755) for name in busybox.applets if name != "busybox"]
    entries += [(library.lstrip("/"), _read(library), 0o755) for library in busybox.libraries]
    entries += [(name.lstrip("/"), data, 0o644) for name, data in files.items()]
    entries += [("etc/passwd", b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n", 0o644)]
    entries += [("etc/group", b"root:x:0:\nnogroup:x:65534:\n", 0o644)]
    return _tar(entries, directories=(("tmp", 0o1777), ("proc", 0o555), ("sys", 0o555), ("dev", 0o755)))


def _tar(entries: Sequence[tuple[str, bytes | str, int]], directories: Sequence[tuple[str, int]] = ()) -> bytes:
    """A tar of `entries` (name, content as bytes or the target of a hard link as str, mode) and their directories."""
    modes = {parent: 0o755 for name, _, _ in entries for parent in _parents(name)} | dict(directories)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, mode in sorted(modes.items()):
            tar.addfile(_member(name, mode, tarfile.DIRTYPE))
        for name, content, mode in entries:
            if isinstance(content, str):
                tar.addfile(_member(name, mode, tarfile.LNKTYPE, link=content))
            else:
                tar.addfile(_member(name, mode, tarfile.REGTYPE, size=len(content)), io.BytesIO(content))
    return buffer.getvalue()


def _parents(name: str) -> list[str]:
    parts = name.split("/")[:-1]
    return ["/".join(parts[: depth + 1]) for depth in range(len(parts))]


def _member(name: str, mode: int, kind: bytes, *, link: str = "", size: int = 0) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.mode, member.type, member.linkname, member.size = mode, kind, link, size
    return member


def _descriptor(media_type: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _digest(blob), "size": len(blob)}


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
