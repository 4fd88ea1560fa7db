"""The directory of network configurations, and noticing that it changed.

`load` reads a directory once; `ConfDir.current` does so again when the directory or a file in it is another than
before. Instead of a watch, which dies with the directory, it compares stat results: a handful of system calls, right
after the directory was removed and made again, on overlayfs and through symbolic links. Broken files are reported
beside the good ones.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .config import NetworkConfig, PluginConfig, parse_list, parse_plugin, parse_single
from .errors import CniError, InvalidNetworkConfig, NetworkNotFound
from .fields import JSON_LIMIT
from .files import read_regular

PARSERS = {".conflist": parse_list, ".conf": parse_single, ".json": parse_single}
"""File name extension → how such a file is read. Others are not looked at, nor are hidden (unfinished) files."""

FILES_LIMIT = 256
"""Files that are looked at in one directory; a node has one to five."""

SETTLED_NS = 2_000_000_000
"""Age of a change, in ns, from which stat results are trusted: within one clock tick two writes can look like one."""

Signature = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Broken:
    """A file (or the directory itself) that cannot be used, and why."""

    path: str
    error: CniError

    def __str__(self) -> str:
        return str(self.error)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a directory held: usable networks and broken files, both in lexical order of the file names."""

    path: str
    networks: tuple[NetworkConfig, ...] = ()
    broken: tuple[Broken, ...] = ()

    def network(self, name: str = "") -> NetworkConfig:
        """Return the network `name`, or the first one. Raises NetworkNotFound, saying what there is instead."""
        for network in self.networks:
            if name in ("", network.name):
                return network
        wanted = f'no network "{name}"' if name else "no network configuration"
        there = f"; there are {', '.join(n.name for n in self.networks)}" if self.networks else ""
        raise NetworkNotFound(f"{wanted} in {self.path}{there}", details="; ".join(str(file) for file in self.broken))


class ConfDir:
    """A configuration directory that is asked again and again. It may be missing, and come and go."""

    def __init__(self, path: str, *, clock: Callable[[], int] = time.time_ns) -> None:
        self.path = path
        self._clock = clock
        self._signature: Signature | None = None
        self._settled = False
        self._loaded = Loaded(path)

    def current(self) -> Loaded:
        """Return what the directory holds now: the very same object as long as nothing changed. Never raises."""
        signature, newest = _signature(self.path)
        if signature != self._signature or not self._settled:
            loaded = load(self.path)
            self._settled = not 0 <= self._clock() - newest < SETTLED_NS
            self._signature = signature
            # Broken files carry exceptions, which compare by identity: compare what they say.
            if _content(loaded) != _content(self._loaded):
                self._loaded = loaded
        return self._loaded


def load(path: str) -> Loaded:
    """Read the directory `path` once. A missing directory is an empty one that says so in `broken`."""
    networks: dict[str, NetworkConfig] = {}
    broken: list[Broken] = []
    try:
        names = _names(path, tuple(PARSERS))
    except OSError as error:
        return Loaded(path, broken=(Broken(path, InvalidNetworkConfig(_words(path, error))),))
    for name in names[:FILES_LIMIT]:
        file = os.path.join(path, name)
        try:
            network = _read(path, file)
            if network.name in networks:
                first = networks[network.name].source
                raise InvalidNetworkConfig(f'{file}: network "{network.name}" is defined by {first} already')
            networks[network.name] = network
        except CniError as error:
            broken.append(Broken(file, error))
    for name in names[FILES_LIMIT:]:
        file = os.path.join(path, name)
        broken.append(Broken(file, InvalidNetworkConfig(f"{file}: not read, beyond the first {FILES_LIMIT} files")))
    return Loaded(path, tuple(networks.values()), tuple(broken))


def _read(directory: str, file: str) -> NetworkConfig:
    parse = PARSERS[os.path.splitext(file)[1]]
    network = parse(_bytes(file), file)
    own = () if network.load_only_inlined else _own_plugins(os.path.join(directory, network.name))
    return network.with_plugins(own)


def _own_plugins(directory: str) -> tuple[PluginConfig, ...]:
    """Read a network's own directory of plugins (spec 1.1.0). A broken one breaks the network: a chain is whole."""
    try:
        names = _names(directory, (".conf",))
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise InvalidNetworkConfig(_words(directory, error)) from None
    files = [os.path.join(directory, name) for name in names[:FILES_LIMIT]]
    return tuple(parse_plugin(_bytes(file), file) for file in files)


def _bytes(file: str) -> bytes:
    try:
        return read_regular(file, JSON_LIMIT)
    except OSError as error:
        raise InvalidNetworkConfig(_words(file, error)) from None


def _words(path: str, error: OSError) -> str:
    return f"{path}: {error.strerror or error}"


def _names(directory: str, extensions: tuple[str, ...]) -> list[str]:
    names = (name for name in os.listdir(directory) if not name.startswith("."))
    return sorted((name for name in names if os.path.splitext(name)[1] in extensions), key=os.fsencode)


def _content(loaded: Loaded) -> tuple[object, ...]:
    return loaded.networks, tuple((file.path, str(file)) for file in loaded.broken)


def _signature(path: str) -> tuple[Signature, int]:
    """Return what must differ when the directory's content does, and the newest change in it, in ns since the epoch."""
    entries = [(name, _identity(file)) for name, file in _watched(path)]
    newest = max((identity[-1] for _, identity in entries if len(identity) > 1), default=0)
    return tuple(entries), newest


def _watched(path: str) -> Iterator[tuple[str, str]]:
    yield "", path
    try:
        with os.scandir(path) as scan:
            entries = sorted(scan, key=lambda entry: os.fsencode(entry.name))
    except OSError:
        return
    for entry in entries:
        if os.path.splitext(entry.name)[1] in PARSERS:
            yield entry.name, entry.path
        elif entry.is_dir():
            yield from _watched_own(entry)


def _watched_own(entry: os.DirEntry[str]) -> Iterator[tuple[str, str]]:
    yield entry.name, entry.path
    try:
        names = _names(entry.path, (".conf",))
    except OSError:
        return
    for name in names[:FILES_LIMIT]:
        yield f"{entry.name}/{name}", os.path.join(entry.path, name)


def _identity(path: str) -> tuple[int, ...]:
    try:
        status = os.stat(path)
    except OSError as error:
        return (error.errno or 0,)
    # ctime, not mtime: no tool can set it back, and a rename or a chmod counts as well.
    return status.st_dev, status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns
