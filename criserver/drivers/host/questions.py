"""What is asked of a path of the host: each question takes the path and answers with plain data.

Run in the server for paths that always answer, and for the others in a process of their own (`main`), which can be
left behind. That process imports little: it starts with every question.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from criserver.drivers.host import devices as nodes
from criserver.kernel import mount
from criserver.kernel.fds import read_in_root
from criserver.kernel.mount import MountInfo
from criserver.model.host import SourcePropagation

_GONE = "//deleted"  # ends the path of a mount whose directory was removed
PROFILE_LIMIT = 1 << 20  # bytes of a seccomp profile


def source(path: str) -> tuple[str, str, list[str]]:
    """The fields of a `MountSource`; the path is made as a directory when it is missing."""
    real = os.path.realpath(path)
    if not os.path.lexists(real):
        os.makedirs(real, mode=0o755, exist_ok=True)
    mounts = mount.mounts()
    return real, propagation(real, mounts).value, below(real, mounts)


def propagation(path: str, mounts: Iterable[MountInfo]) -> SourcePropagation:
    """How the mount that holds `path` propagates: the last one mounted at the longest prefix counts."""
    around = [each for each in mounts if path == each.target or path.startswith(each.target.rstrip("/") + "/")]
    # Of equals, max takes the first.
    holding = max(reversed(around), key=lambda each: len(each.target), default=None)
    kinds = {field.partition(":")[0] for field in holding.optional} if holding else set()
    if "shared" in kinds:
        return SourcePropagation.SHARED
    return SourcePropagation.SLAVE if "master" in kinds else SourcePropagation.PRIVATE


def below(path: str, mounts: Sequence[MountInfo]) -> list[str]:
    """What is mounted in `path` and can be seen, without what lies in another of them, sorted."""
    start = path.rstrip("/") + "/"
    known = {each.mount_id: each for each in mounts}
    found: list[str] = []
    for target in sorted({each.target for each in mounts if each.target.startswith(start) and _is_seen(each, known)}):
        if target != path and not any(target.startswith(f"{other}/") for other in found):
            found.append(target)
    return found


def _is_seen(info: MountInfo, known: Mapping[int, MountInfo]) -> bool:
    """Whether its place is there, and no other mount hides it: one above it, on the mount that it stands on."""
    parent = known.get(info.parent_id)
    if parent is None or parent is info:
        return True
    siblings = (each for each in known.values() if each.parent_id == parent.mount_id and each is not info)
    hidden = any(info.target.startswith(each.target.rstrip("/") + "/") for each in siblings)
    return not hidden and not info.target.endswith(_GONE) and _is_seen(parent, known)


def devices(path: str) -> list[list[Any]]:
    """The fields of each `HostDevice` at or below the path."""
    return [[d.path, d.type, d.major, d.minor, d.mode, d.uid, d.gid] for d in nodes.at(path)]


def mode(path: str) -> int:
    """st_mode; 0 when nothing is there."""
    try:
        return os.stat(path).st_mode
    except FileNotFoundError:
        return 0


def small_file(path: str) -> str:
    """The text of a regular file of at most PROFILE_LIMIT bytes; OSError for anything else."""
    return read_in_root("/", path, PROFILE_LIMIT).decode("utf-8", "replace")


QUESTIONS: dict[str, Callable[[str], Any]] = {each.__name__: each for each in (source, devices, mode, small_file)}


def main() -> None:
    """Answer one question: argv names it and the path; an object with `answer` or `error` goes to stdout."""
    name, path = sys.argv[-2:]
    try:
        said: dict[str, Any] = {"answer": QUESTIONS[name](path)}
    except OSError as error:
        said = {"error": [error.errno or 0, error.strerror or str(error)]}
    sys.stdout.write(json.dumps(said))
