"""Images between the model and the CRI's messages."""

from __future__ import annotations

import json

from criserver.api.pb import api_pb2 as pb
from criserver.lifecycle.images.images import FilesystemUsage
from criserver.model.image import Credentials, Image


def image(row: Image) -> pb.Image:
    """The CRI Image. `spec` names it as a person would, and carries the manifest's annotations."""
    uid, username = user(row.defaults.user)
    return pb.Image(
        id=row.id,
        repo_tags=row.repo_tags,
        repo_digests=row.repo_digests,
        size=row.size,
        uid=None if uid is None else pb.Int64Value(value=uid),
        username=username,
        spec=pb.ImageSpec(image=next(iter((*row.repo_tags, *row.repo_digests)), row.id), annotations=row.annotations),
        pinned=row.pinned,
    )


def user(text: str) -> tuple[int | None, str]:
    """The CRI's uid and username of an image config's "user[:group]": one of them is set, or none for an empty user.

    The kubelet's runAsNonRoot decides by them, so a number is a uid in whatever way it is written (CVE-2019-11245).
    """
    name = text.partition(":")[0]
    return (int(name), "") if name.isascii() and name.isdecimal() and len(name) < 19 else (None, name)


def credentials(auth: pb.AuthConfig) -> Credentials | None:
    """The request's credentials, None when it brings none."""
    given = Credentials(
        username=auth.username,
        password=auth.password,
        auth=auth.auth,
        server_address=auth.server_address,
        identity_token=auth.identity_token,
        registry_token=auth.registry_token,
    )
    return None if given == Credentials(server_address=auth.server_address) else given


def image_info(row: Image, config: bytes) -> str:
    """What a verbose ImageStatus tells, as JSON: the configuration document and the numbers of the layers."""
    told = {"imageSpec": json.loads(config or b"{}"), "layers": row.layers, "pulledAt": row.pulled_at}
    return json.dumps(told | ({"artifactType": row.artifact} if row.artifact else {}))


def filesystem(usage: FilesystemUsage) -> pb.FilesystemUsage:
    """The CRI FilesystemUsage."""
    return pb.FilesystemUsage(
        timestamp=usage.timestamp,
        fs_id=pb.FilesystemIdentifier(mountpoint=usage.mountpoint),
        used_bytes=pb.UInt64Value(value=usage.used_bytes),
        inodes_used=pb.UInt64Value(value=usage.inodes_used),
    )
