"""What the configuration says of containers, as the values that `spec` takes: one `Policy` for each handler.

The files that it names are read with it: at the start and at each reload.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from typing import Any

from criserver.config import defaults
from criserver.config.schema import BlockIoClass, Handler, HandlerType, RuntimeConfig
from criserver.errors import ConfigError, InvalidArgument
from criserver.kernel.fds import read_in_root
from criserver.model.security import Capabilities, ContainerSecurity, NamespaceOptions
from criserver.spec import base, capabilities, seccomp, sysctls
from criserver.spec.wish import DefaultMount, HostFacts, Policy, Rlimit

# Bytes. Less and the runtime's own init is killed before it can say a word (cri-o's container_min_memory).
MINIMUM_MEMORY = {HandlerType.RUNC: 12 << 20, HandlerType.CRUN: 500 << 10}
DOCUMENT_LIMIT = 1 << 20
_NONE = Policy()


class Policies:
    """The policies in force. One per server."""

    def __init__(self, runtime: RuntimeConfig) -> None:
        """ConfigError as in `take_up`."""
        self.take_up(runtime)

    def take_up(self, runtime: RuntimeConfig) -> None:
        """From now on they are these; ConfigError names a key that cannot be used, and then nothing changes."""
        self._current = policies(runtime), default_sysctls(runtime)

    def of(self, handler: str) -> Policy:
        """Those of a handler's containers; none for one that was taken away since."""
        return self._current[0].get(handler, _NONE)

    def sysctls(self) -> Mapping[str, str]:
        """Those of pods that say nothing else."""
        return self._current[1]


def policies(runtime: RuntimeConfig) -> Mapping[str, Policy]:
    """The policy of each handler, by its name; ConfigError names the key of what cannot be used."""
    return {name: _policy(runtime, name, handler) for name, handler in runtime.handlers.items()}


def default_sysctls(runtime: RuntimeConfig) -> Mapping[str, str]:
    """The sysctls of pods; ConfigError for one that no namespace of a pod holds."""
    try:
        return sysctls.check(dict(map(defaults.pair, runtime.default_sysctls)), NamespaceOptions())
    except InvalidArgument as error:
        raise ConfigError(f"runtime.default_sysctls: {error}") from error


def _policy(runtime: RuntimeConfig, name: str, handler: Handler) -> Policy:
    key = f"runtime.handlers.{name}"
    minimum = MINIMUM_MEMORY[handler.type] if handler.minimum_memory is None else handler.minimum_memory
    return Policy(
        default_capabilities=_capabilities(runtime),
        default_env=runtime.default_env,
        rlimits=tuple(Rlimit(*defaults.ulimit(entry)) for entry in runtime.default_ulimits),
        pids_limit=runtime.pids_limit,
        minimum_memory=minimum,
        umask=defaults.umask(runtime.umask) if runtime.umask else None,
        allowed_annotations=frozenset(handler.annotations),
        privileged_without_host_devices=handler.privileged_without_host_devices,
        device_ownership_from_security_context=runtime.device_ownership_from_security_context,
        mounts=_mounts(runtime),
        readonly_rootfs=runtime.read_only,
        seccomp_profile=_seccomp(handler.seccomp_profile, f"{key}.seccomp_profile"),
        block_io={name: _block_io(group, name) for name, group in runtime.block_io_classes.items()},
        base=_base(handler.base_spec, f"{key}.base_spec"),
    )


def _capabilities(runtime: RuntimeConfig) -> tuple[str, ...]:
    if runtime.default_capabilities is None:
        return capabilities.DEFAULT
    try:
        given = ContainerSecurity(capabilities=Capabilities(add=runtime.default_capabilities))
        return capabilities.wanted(given, ())
    except InvalidArgument as error:
        raise ConfigError(f"runtime.default_capabilities: {error}") from error


def _mounts(runtime: RuntimeConfig) -> tuple[DefaultMount, ...]:
    mounts = [DefaultMount(*defaults.mount(entry)) for entry in runtime.default_mounts]
    for mount in mounts:
        if not os.path.lexists(mount.source):
            raise ConfigError(f"runtime.default_mounts: {mount.source} is not there: make it, or remove the mount")
    if zone := defaults.zone(runtime.timezone):
        mounts.append(DefaultMount(_zone(zone), "/etc/localtime", ("ro", "nosuid", "nodev", "noexec")))
    return tuple(mounts)


def _block_io(group: BlockIoClass, name: str) -> dict[str, Any]:
    """linux.resources.blockIO of a class (runtime-spec config-linux.md, "Block IO")."""
    kinds = {
        "throttleReadBpsDevice": group.read_bps,
        "throttleWriteBpsDevice": group.write_bps,
        "throttleReadIOPSDevice": group.read_iops,
        "throttleWriteIOPSDevice": group.write_iops,
    }
    rates = {kind: [_rate(entry, name) for entry in entries] for kind, entries in kinds.items() if entries}
    return {**({"weight": group.weight} if group.weight else {}), **rates}


def _rate(entry: str, name: str) -> dict[str, int]:
    device, number = defaults.rate(entry)
    try:
        status = os.stat(device)
    except OSError as error:
        raise ConfigError(f"runtime.block_io_classes.{name}: {device}: {error.strerror}") from error
    if not stat.S_ISBLK(status.st_mode):
        raise ConfigError(f"runtime.block_io_classes.{name}: {device} is no block device")
    return {"major": os.major(status.st_rdev), "minor": os.minor(status.st_rdev), "rate": number}


def _zone(path: str) -> str:
    """The file itself: a bind mount of a link would show another zone when the link's target is replaced."""
    real = os.path.realpath(path)
    if not os.path.isfile(real):
        raise ConfigError(f"runtime.timezone: {path} is no file of this host: install tzdata, or give another zone")
    return real


def _seccomp(path: str, key: str) -> Mapping[str, Any] | None:
    if not path:
        return None
    profile = _document(path, key)
    try:
        seccomp.convert(profile, frozenset(), HostFacts())
    except InvalidArgument as error:
        raise ConfigError(f"{key}: {path}: {error}") from error
    return profile


def _base(path: str, key: str) -> Mapping[str, Any] | None:
    if not path:
        return None
    document = _document(path, key)
    try:
        base.check(document)
    except InvalidArgument as error:
        raise ConfigError(f"{key}: {path}: {error}") from error
    return document


def _document(path: str, key: str) -> Mapping[str, Any]:
    try:
        document = json.loads(read_in_root("/", path, DOCUMENT_LIMIT))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{key}: {path} cannot be used: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{key}: {path} is not a JSON object")
    return document
