"""Sysctls of a pod: which keys a namespace of its own holds, and what a value may look like.

A pod may only set what belongs to its own namespaces (CVE-2022-0532); keys and values are words that no later layer
can take apart in another way (CVE-2022-0811).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping

from criserver.errors import InvalidArgument
from criserver.model.security import NamespaceMode, NamespaceOptions

# "/" stands for a dot in the name of an interface (eth0.100), so two of them would be ".." in the file's path.
_KEY = re.compile(r"[a-z0-9_]+(\.[a-zA-Z0-9_:@-]+(/[a-zA-Z0-9_:@-]+)*)+")
# Numbers, names and lists of them ("1024 65535"); no "+" or "=", which some tools take for the next assignment.
_VALUE = re.compile(r"[A-Za-z0-9_.,:/-]+([ \t][A-Za-z0-9_.,:/-]+)*")
_IPC = re.compile(r"fs\.mqueue\.\w+|kernel\.(auto_msgmni|msg\w+|sem|sem_next_id|shm\w+)")


def check(sysctls: Mapping[str, str], options: NamespaceOptions) -> dict[str, str]:
    """The sysctls by key in dotted form, sorted, when the pod may set all of them; else InvalidArgument."""
    result: dict[str, str] = {}
    for given in sorted(sysctls):
        key = dotted(given)
        value = sysctls[given]
        if not _KEY.fullmatch(key) or len(key) > 255:
            raise InvalidArgument(f"sysctls: {given[:80]!r} is not a key; give one such as net.ipv4.ip_forward")
        if len(value) > 255 or not _VALUE.fullmatch(value):
            raise InvalidArgument(f"sysctls: value {value[:80]!r} of {given}: give words of A-Z a-z 0-9 _ . , : / -")
        if key in result:
            raise InvalidArgument(f"sysctls: {given!r} is given twice, with dots and with slashes; give it once")
        _check_namespace(key, given, options)
        result[key] = value
    return result


def with_defaults(defaults: Mapping[str, str], asked: Mapping[str, str], options: NamespaceOptions) -> dict[str, str]:
    """What is set in a pod: the configuration's sysctls as far as the pod has the namespace, then its own.

    Both were checked before. A pod in a namespace of the node leaves the node as it is (CVE-2022-0532).
    """
    applicable: dict[str, str] = {}
    for key, value in defaults.items():
        with contextlib.suppress(InvalidArgument):
            applicable |= check({key: value}, options)
    return {**applicable, **asked}


def dotted(key: str) -> str:
    """The dotted form of a key, as sysctl(8) reads both: with slashes first, dots and slashes change places."""
    first = re.search("[./]", key)
    return key.translate(str.maketrans("./", "/.")) if first and first[0] == "/" else key


def file(key: str) -> str:
    """Where a key in dotted form lies below /proc/sys, e.g. "net/ipv4/conf/eth0.100/forwarding"."""
    return key.translate(str.maketrans("./", "/."))


def _check_namespace(key: str, given: str, options: NamespaceOptions) -> None:
    if key.startswith("net."):
        kind, mode = "network", options.network
    elif _IPC.fullmatch(key):
        kind, mode = "ipc", options.ipc
    elif key == "kernel.domainname":
        kind, mode = "network", options.network
    else:
        raise InvalidArgument(
            f"sysctls: {given!r} is not in a namespace of the pod: it would change the node; remove it"
        )
    if mode is NamespaceMode.NODE:
        raise InvalidArgument(
            f"sysctls: {given!r} would change the node, whose {kind} namespace the pod shares; remove it, or give the "
            f"pod a {kind} namespace of its own"
        )
