"""The attachments that exist, on disk: what ADD was given and what it answered (spec, "Adding an attachment").

One file per attachment, `<network>:<container id>:<interface>.json`, mode 0600 in a directory of mode 0700; no part can
hold a colon, so the name is the key. The content is that of libcni's cache: `kind` "cniCacheV1", `networkName`,
`containerId`, `ifName`, `netns`, `config` (the configuration list, base64), `cniArgs` (pairs), `capabilityArgs`,
`result`. A file without `result` is an ADD that was begun: written before the first plugin runs, it lets a DEL find
what a crash left.

A file that cannot be read is not fatal: its name still tells what may have to be deleted.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass

from .attachment import Args, Attachment
from .config import NAME, NetworkConfig, parse_list
from .errors import CniError, DecodeFailure, InvalidParameter, IOFailure, printable
from .fields import FieldError, Node, decode, encode
from .files import read_regular, remove, replace
from .result import Result, from_json

KIND = "cniCacheV1"
SUFFIX = ".json"
FILE_LIMIT = 4 << 20
"""Bytes of a cache file: a result and, in base64, a configuration of 1 MiB each fit."""

NAME_LIMIT = 254
"""Bytes of a file name (NAME_MAX) less the dot of its draft."""


@dataclass(frozen=True, slots=True)
class Cached:
    """One remembered attachment.

    `result` is None when ADD did not end; `config` is None too when the file is broken, which `problem` explains.
    """

    network: str
    attachment: Attachment
    config: NetworkConfig | None = None
    result: Result | None = None
    problem: str = ""


class Cache:
    """The remembered attachments in `directory`, which is made when first needed.

    Raises IOFailure when the disk refuses.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def store(self, config: NetworkConfig, attachment: Attachment, result: Result | None) -> None:
        """Remember an attachment: without `result` before ADD, with it afterwards."""
        name = file_name(config.name, attachment.container_id, attachment.ifname)
        try:
            os.makedirs(self.directory, mode=0o700, exist_ok=True)
            replace(self.directory, name, encode(_document(config, attachment, result)))
        except OSError as error:
            raise self._failure("written", name, error) from error

    def load(self, network: str, container_id: str, ifname: str) -> Cached | None:
        """Return what is remembered of an attachment, None when nothing is. A broken file tells its `problem`."""
        name = file_name(network, container_id, ifname)
        try:
            data = read_regular(os.path.join(self.directory, name), FILE_LIMIT, follow=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            return _broken(network, container_id, ifname, f"{name}: {error.strerror}")
        try:
            return parse(data, network, container_id, ifname)
        except CniError as error:
            return _broken(network, container_id, ifname, f"{name}: {error}")

    def remove(self, network: str, container_id: str, ifname: str) -> None:
        """Forget an attachment; one that is not remembered is fine."""
        name = file_name(network, container_id, ifname)
        try:
            remove(self.directory, name)
        except OSError as error:
            raise self._failure("removed", name, error) from error

    def drop_drafts(self, container_id: str) -> None:
        """Remove what a writer has left of a container that was killed before its file had its name."""
        names = self._names()
        for name in names:
            key = key_of(name[1:]) if name.startswith(".") else None
            if key is not None and key[1] == container_id and name[1:] not in names:
                self.remove(*key)

    def attachments(self, *, network: str = "", container_id: str = "") -> tuple[Cached, ...]:
        """Return all remembered attachments, or those of one network or container, sorted by their keys."""
        keys = [key for key in self._keys() if network in ("", key[0]) and container_id in ("", key[1])]
        loaded = (self.load(*key) for key in keys)
        return tuple(cached for cached in loaded if cached is not None)

    def _keys(self) -> list[tuple[str, str, str]]:
        return sorted(key for name in self._names() if (key := key_of(name)) is not None)

    def _names(self) -> list[str]:
        try:
            return os.listdir(self.directory)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._failure("listed", "", error) from error

    def _failure(self, done: str, name: str, error: OSError) -> IOFailure:
        path = os.path.join(self.directory, name)
        return IOFailure(f"attachment cache {path} cannot be {done}: {error.strerror}")


def file_name(network: str, container_id: str, ifname: str) -> str:
    """Return the file of an attachment. Raises InvalidParameter when a file system could not hold the name."""
    name = f"{network}:{container_id}:{ifname}{SUFFIX}"
    if len(os.fsencode(name)) > NAME_LIMIT:
        raise InvalidParameter(
            f"network name {network[:64]!r} and container id {container_id[:64]!r} are too long together"
        )
    return name


def key_of(name: str) -> tuple[str, str, str] | None:
    """Return (network, container id, interface) of a cache file's name, None for any other file."""
    parts = name.removesuffix(SUFFIX).split(":")
    if not name.endswith(SUFFIX) or len(parts) != 3 or not NAME.fullmatch(parts[0]):
        return None
    try:
        Attachment(parts[1], "", parts[2])
    except InvalidParameter:
        return None
    return parts[0], parts[1], parts[2]


def parse(data: bytes, network: str, container_id: str, ifname: str) -> Cached:
    """Return the attachment that a cache file's content describes. Raises a CniError when it is broken or another's."""
    try:
        document = decode(data, "cache", FILE_LIMIT)
        found = tuple(document.text(key) for key in ("kind", "networkName", "containerId", "ifName"))
        if found != (KIND, network, container_id, ifname):
            raise FieldError(f"cache: is of {printable(repr(found), 256)}")
        capabilities = document.child("capabilityArgs").value
        attachment = Attachment(container_id, document.text("netns"), ifname, _args(document), capabilities)
        config = _config(document, network)
    except ValueError as error:  # FieldError is one, and so is all that base64 raises
        raise DecodeFailure(str(error)) from None
    result = from_json(document.value["result"], config.cni_version) if document.has("result") else None
    return Cached(network, attachment, config, result)


def _config(document: Node, network: str) -> NetworkConfig:
    content = base64.b64decode(document.text("config"), validate=True)
    config = parse_list(content, document.at("config")).with_plugins(())
    if config.name != network:
        raise FieldError(f"{document.at('config')}: is of network {config.name!r}")
    return config


def _args(document: Node) -> Args:
    pairs = document.value.get("cniArgs") or []
    for pair in pairs if isinstance(pairs, list) else [None]:
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(word, str) for word in pair):
            raise FieldError(f"{document.at('cniArgs')}: must be a list of pairs of strings")
    return tuple((key, value) for key, value in pairs)


def _broken(network: str, container_id: str, ifname: str, problem: str) -> Cached:
    return Cached(network, Attachment(container_id, "", ifname), problem=problem)


def _document(config: NetworkConfig, attachment: Attachment, result: Result | None) -> dict[str, object]:
    document: dict[str, object] = {
        "kind": KIND,
        "networkName": config.name,
        "containerId": attachment.container_id,
        "ifName": attachment.ifname,
        "netns": attachment.netns,
        "config": base64.b64encode(encode(config.to_json())).decode(),
        "cniArgs": [list(pair) for pair in attachment.args],
        "capabilityArgs": dict(attachment.capability_args),
    }
    if result is not None:
        document["result"] = {**result.raw, "cniVersion": result.cni_version}
    return document
