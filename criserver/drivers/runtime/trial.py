"""Whether a runtime makes containers on this host, found out by letting it make one.

Runtimes refuse hosts for reasons that only they know: crun will not have cgroup v1 beside a cgroup v2 with
controllers, an old one not a new kernel. The container that is made is the least that shows it: namespaces, mounts,
a cgroup with a device rule. It is never started; nothing of it stays.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Sequence
from typing import Any

from criserver.drivers.runtime import words as runtime_words
from criserver.errors import CriError
from criserver.kernel import cgroupfs, process
from criserver.kernel.fds import remove_tree
from criserver.kernel.offload import offload

_SECONDS = 10.0
# The init keeps the streams that it is given, and whoever reads them would wait for it.
_SILENT = ("sh", "-c", 'exec "$@" >/dev/null 2>&1', "sh")


async def refusal(command: Sequence[str], state: str, cgroup_driver: str) -> str:
    """Why the runtime cannot be used here, in its own words; "" when it can.

    `command` is the argv prefix of its calls. What a trial that was killed left is taken away first.
    """
    # Known by the server's own name, so that the next one finds it, and two servers never meet.
    name = f"criserver-trial-{hashlib.sha256(state.encode()).hexdigest()[:8]}"
    bundle = f"{state}/trial"
    if await offload(os.path.lexists, bundle):
        await _take_away(command, name, bundle)
    try:
        await offload(_write, bundle, document(name, cgroup_driver))
        return await _create(command, name, bundle)
    except (CriError, OSError) as error:
        return str(error)
    finally:
        await asyncio.shield(_take_away(command, name, bundle))


def document(name: str, cgroup_driver: str) -> dict[str, Any]:
    """The config.json of the trial."""
    cgroup = f"system.slice:criserver:{name}" if cgroup_driver == "systemd" else f"/{name}"
    return {
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["/init"], "cwd": "/", "noNewPrivileges": True},
        "root": {"path": "rootfs"},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]},
        ],
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": [{"type": kind} for kind in ("mount", "pid", "ipc", "uts", "cgroup")],
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
        },
    }


def _write(bundle: str, config: dict[str, Any]) -> None:
    os.makedirs(f"{bundle}/rootfs/sys/fs/cgroup", mode=0o700)
    with open(f"{bundle}/rootfs/init", "x", opener=lambda path, flags: os.open(path, flags, 0o755)):
        pass  # It must be there and executable; nobody executes it.
    with open(f"{bundle}/config.json", "x", encoding="utf-8") as file:
        json.dump(config, file)


async def _create(command: Sequence[str], name: str, bundle: str) -> str:
    said = f"{bundle}/log"
    argv = [*command, "--log", said, "--log-format", "json", "create", "--bundle", bundle, name]
    done = await process.run([*_SILENT, *argv], timeout=_SECONDS)
    if not done.returncode:
        return ""
    return runtime_words.last_error(await offload(_read, said)) or f"exit status {done.returncode} without a word"


async def _take_away(command: Sequence[str], name: str, bundle: str) -> None:
    await process.run([*_SILENT, *command, "delete", "--force", name], timeout=_SECONDS)
    await offload(_remove, f"/{name}", bundle)


def _remove(cgroup: str, bundle: str) -> None:
    # A runtime that gave up half-way has forgotten its cgroup.
    for hierarchy in cgroupfs.hierarchies():
        cgroupfs.remove(hierarchy, cgroup)
    remove_tree(bundle)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(1 << 16)
    except FileNotFoundError:
        return b""
