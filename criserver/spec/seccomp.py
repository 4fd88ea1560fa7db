"""Seccomp profiles: a file in containers-common form, filtered for one container, as OCI's linux.seccomp.

Knows the form (actions, conditions on capabilities, architectures and kernel), not where a profile comes from: a
localhost profile is a user's text, so every wrong type in it is an InvalidArgument that names the place.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from typing import Any

from criserver.errors import InvalidArgument
from criserver.spec.checks import words
from criserver.spec.wish import HostFacts

_ACTIONS = frozenset(words("ALLOW ERRNO KILL KILL_PROCESS KILL_THREAD LOG NOTIFY TRACE TRAP", prefix="SCMP_ACT_"))
_OPERATORS = frozenset(words("NE LT LE EQ GE GT MASKED_EQ", prefix="SCMP_CMP_"))
_FLAGS = frozenset(words("TSYNC LOG SPEC_ALLOW WAIT_KILLABLE_RECV", prefix="SECCOMP_FILTER_FLAG_"))
# Only these carry a number: an errno, or what a tracer gets.
_WITH_NUMBER = frozenset({"SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"})
# uname -m → the name in conditions (Go's), then libseccomp's names: native first, then those whose calls it can run.
_MACHINES: dict[str, tuple[str, tuple[str, ...]]] = {
    "x86_64": ("amd64", ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32")),
    "i686": ("x86", ("SCMP_ARCH_X86",)),
    "aarch64": ("arm64", ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM")),
    "armv7l": ("arm", ("SCMP_ARCH_ARM",)),
    "ppc64le": ("ppc64le", ("SCMP_ARCH_PPC64LE",)),
    "riscv64": ("riscv64", ("SCMP_ARCH_RISCV64",)),
    "s390x": ("s390x", ("SCMP_ARCH_S390X", "SCMP_ARCH_S390")),
}
_UINT32_MAX, _UINT64_MAX = 2**32 - 1, 2**64 - 1


def convert(profile: Mapping[str, Any], capabilities: frozenset[str], host: HostFacts) -> dict[str, Any]:
    """linux.seccomp for a container that has `capabilities` on `host`.

    A plain OCI profile is a profile without conditions and passes unchanged. InvalidArgument names the wrong place.
    """
    default = _choice(profile, "defaultAction", _ACTIONS, "")
    result: dict[str, Any] = {"defaultAction": default}
    number = _errno(profile, "defaultErrnoRet", "defaultErrno", "")
    if number is not None and default in _WITH_NUMBER:
        result["defaultErrnoRet"] = number
    result["architectures"] = _architectures(profile, host)
    flags = _strings(profile, "flags", "")
    if set(flags) - _FLAGS:
        raise InvalidArgument(f"seccomp profile: flags {', '.join(sorted(set(flags) - _FLAGS))} are not known")
    if flags:
        result["flags"] = flags
    rules = []
    for index, rule in enumerate(_objects(profile, "syscalls", "")):
        where = f"syscalls[{index}]"
        if _applies(rule, capabilities, host, where):
            rules.append(_rule(rule, where))
    return {**result, "syscalls": [rule for rule in rules if rule["names"]]}


def _rule(rule: Mapping[str, Any], where: str) -> dict[str, Any]:
    names = _strings(rule, "names", where) or [name for name in [_string(rule, "name", where)] if name]
    action = _choice(rule, "action", _ACTIONS, where)
    result: dict[str, Any] = {"names": names, "action": action}
    number = _errno(rule, "errnoRet", "errno", where)
    if number is not None and action in _WITH_NUMBER:
        result["errnoRet"] = number
    args = [_argument(arg, f"{where}.args[{i}]") for i, arg in enumerate(_objects(rule, "args", where))]
    if args:
        result["args"] = args
    return result


def _argument(arg: Mapping[str, Any], where: str) -> dict[str, Any]:
    return {
        "index": _integer(arg, "index", 5, where) or 0,
        "value": _integer(arg, "value", _UINT64_MAX, where) or 0,
        "valueTwo": _integer(arg, "valueTwo", _UINT64_MAX, where) or 0,
        "op": _choice(arg, "op", _OPERATORS, where),
    }


def _applies(rule: Mapping[str, Any], capabilities: frozenset[str], host: HostFacts, where: str) -> bool:
    """All of `includes` must hold, nothing of `excludes` may: one excluded capability of several is enough."""
    includes, excludes = _object(rule, "includes", where), _object(rule, "excludes", where)
    machine = _MACHINES.get(host.machine, (host.machine, ()))[0]
    arches = _strings(includes, "arches", where)
    if (arches and machine not in arches) or machine in _strings(excludes, "arches", where):
        return False
    if not capabilities.issuperset(_strings(includes, "caps", where)):
        return False
    if not capabilities.isdisjoint(_strings(excludes, "caps", where)):
        return False
    least, too_new = _kernel(includes, where), _kernel(excludes, where)
    return not ((least and host.kernel < least) or (too_new and host.kernel >= too_new))


def _kernel(condition: Mapping[str, Any], where: str) -> tuple[int, int] | None:
    given = _string(condition, "minKernel", where)
    if not given:
        return None
    match = re.fullmatch(r"([0-9]{1,4})\.([0-9]{1,4})(\..*)?", given)
    if not match:
        raise _wrong(where, "minKernel", "a version such as 4.8")
    return int(match[1]), int(match[2])


def _architectures(profile: Mapping[str, Any], host: HostFacts) -> list[str]:
    given = _strings(profile, "architectures", "")
    if given:
        return given
    native = _MACHINES.get(host.machine, ("", ()))[1]
    for entry in _objects(profile, "archMap", ""):
        if native and _string(entry, "architecture", "archMap") == native[0]:
            return [native[0], *_strings(entry, "subArchitectures", "archMap")]
    return list(native)


def _errno(source: Mapping[str, Any], number: str, name: str, where: str) -> int | None:
    value = _integer(source, number, _UINT32_MAX, where)
    if value is not None:
        return value
    text = _string(source, name, where)
    if not text:
        return None
    found = getattr(errno, text, None) if text.isupper() else None
    if not isinstance(found, int):
        raise _wrong(where, name, "an errno such as EPERM")
    return found


def _choice(source: Mapping[str, Any], key: str, known: frozenset[str], where: str) -> str:
    value = _string(source, key, where)
    if value not in known:
        raise _wrong(where, key, f"one of {', '.join(sorted(known))}")
    return value


def _string(source: Mapping[str, Any], key: str, where: str) -> str:
    value = source.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong(where, key, "a text")
    return value


def _integer(source: Mapping[str, Any], key: str, high: int, where: str) -> int | None:
    value = source.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= high:
        raise _wrong(where, key, f"a number from 0 to {high}")
    return value


def _strings(source: Mapping[str, Any], key: str, where: str) -> list[str]:
    value = source.get(key) or []
    if not isinstance(value, list) or not all(isinstance(member, str) and member for member in value):
        raise _wrong(where, key, "a list of texts")
    return value


def _objects(source: Mapping[str, Any], key: str, where: str) -> list[Mapping[str, Any]]:
    value = source.get(key) or []
    if not isinstance(value, list) or not all(isinstance(member, Mapping) for member in value):
        raise _wrong(where, key, "a list of objects")
    return value


def _object(source: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    value = source.get(key) or {}
    if not isinstance(value, Mapping):
        raise _wrong(where, key, "an object")
    return value


def _wrong(where: str, key: str, wanted: str) -> InvalidArgument:
    place = f"{where}.{key}" if where else key
    return InvalidArgument(f"seccomp profile: {place} is not {wanted}; correct the profile")
