"""The OCI runtime binary beyond create and exec (port `Runtime`): runc, crun, and what takes the same arguments.

Handlers are resolved once, when the server starts. Every call names its own --root, so that two servers on one host,
and two handlers of one server, never see each other's containers.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from criserver.drivers.host.facts import kernel_version
from criserver.drivers.runtime import exec_fifo
from criserver.drivers.runtime import trial as runtime_trial
from criserver.drivers.runtime import words as runtime_words
from criserver.errors import FailedPrecondition, InvalidArgument, RuntimeFailed, Unavailable
from criserver.kernel import process
from criserver.kernel.offload import offload
from criserver.kernel.process import Completed
from criserver.observe.timings import asked, asking
from criserver.ports.runtime import Choice, Handler

log = logging.getLogger(__name__)

# What "auto" takes as the default handler: the first of these if it works, since its containers start in a third of the
# time, else the other.
FAST, SAFE = "crun", "runc"
# The kernel has recursive read-only mounts since this version (mount_setattr(2)).
_KERNEL_RRO = (5, 12)
# Seconds. A start or delete that takes longer is stuck in the kernel or on a hook.
_CALL_TIMEOUT = 120.0
_PROBE_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class HandlerConfig:
    """A handler of the configuration: what kind of runtime it is, and its binary by path or name."""

    type: str
    path: str
    root: str = ""  # empty: a directory of its own below the server's state


class OciRuntime:
    """The runtime handlers of this server."""

    def __init__(self, handlers: Sequence[Handler], choice: Choice, missing: Mapping[str, str]) -> None:
        """`handlers` are those that can be used, the default first; from `open_runtime`.

        `choice` names the default, also when it cannot be used; `missing` are the other configured handlers and the
        programs that they lack.
        """
        self._handlers = {handler.name: handler for handler in handlers}
        self._choice, self._missing = choice, missing

    @property
    def choice(self) -> Choice:
        """The default handler, and why it is the one."""
        return self._choice

    def handler(self, name: str) -> Handler:
        """The handler of that name, "" for the default one.

        FailedPrecondition names the program that a configured handler lacks, InvalidArgument lists those that exist.
        """
        wanted = name or self._choice.handler
        if wanted in self._missing:
            raise FailedPrecondition(
                f"runtime handler {wanted!r}: program {self._missing[wanted]} is not there or not executable; "
                f"install it or correct runtime.handlers.{wanted}.path"
            )
        if wanted not in self._handlers:
            known = ", ".join(self._handlers) or "none: install runc (Debian package runc)"
            raise InvalidArgument(f"runtime handler {wanted!r} is not configured on this node; usable: {known}")
        return self._handlers[wanted]

    def handlers(self) -> tuple[Handler, ...]:
        """Every configured handler that can be used on this host, the default first."""
        return tuple(self._handlers.values())

    async def start(self, handler: str, container_id: str) -> None:
        """Start the created container; RuntimeFailed carries the runtime's words."""
        found = self.handler(handler)
        state = _state(found, container_id)
        if found.type == "runc":
            asked("process", f"open({state}/exec.fifo): runc's init, which waits there, executes the command")
            if await offload(_released, state):
                return
        await self._call(handler, "start", container_id)

    async def delete(self, handler: str, container_id: str) -> None:
        """Delete with force what the runtime knows of the container, cgroup included. Unknown ids are fine."""
        if await offload(os.path.lexists, _state(self.handler(handler), container_id)):
            await self._call(handler, "delete", "--force", container_id)

    async def update(self, handler: str, container_id: str, limits: Mapping[str, Any]) -> None:
        """Set limits (OCI linux.resources) of a container that lives; RuntimeFailed carries the runtime's words.

        The document comes by standard input, which crun 1.8 knows by path only.
        """
        document = json.dumps(limits).encode()
        await self._call(handler, "update", "--resources", "/dev/stdin", container_id, stdin=document)

    async def version(self) -> str:
        """The default runtime's version, e.g. "1.1.5"; Unavailable when the binary is missing."""
        try:
            path = self.handler("").path
            done = await process.run([path, "--version"], timeout=_PROBE_TIMEOUT)
        except (FailedPrecondition, InvalidArgument) as error:
            raise Unavailable(f"the default runtime cannot be asked for its version: {error}") from error
        if done.returncode:
            raise Unavailable(f"the default runtime does not tell its version: {done.failure}")
        return runtime_words.version(done.stdout)

    async def _call(self, handler: str, *arguments: str, stdin: bytes = b"") -> None:
        prefix = [*self.handler(handler).command, "--log-format", "json"]  # its errors as JSON on stderr
        with asking("runtime", " ".join([*prefix, *arguments]), stdin.decode(errors="replace")):
            done = await process.run([*prefix, *arguments], stdin=stdin, timeout=_CALL_TIMEOUT)
        if done.returncode:
            raise RuntimeFailed(f"{handler or 'default'} {arguments[0]}: {_words(done)}")


async def open_runtime(
    handlers: Mapping[str, HandlerConfig], *, default: str, state: str, cgroup_driver: str, lacks_idmap: str = ""
) -> OciRuntime:
    """Look which of the configured handlers there are on this host, and what they can do.

    `default` is a handler's name or "auto"; `state` the server's state directory; `cgroup_driver` "cgroupfs" or
    "systemd"; `lacks_idmap` says why this host has no pods with user namespaces, if so. A handler whose binary is
    missing is left out: calls that name it say so.
    """
    probed = await asyncio.gather(
        *(_probe(name, entry, state, cgroup_driver, lacks_idmap) for name, entry in handlers.items())
    )
    found = {handler.name: handler for handler in probed if handler is not None}
    missing = {name: entry.path for name, entry in handlers.items() if name not in found}
    choice = Choice(default, "as configured") if default != "auto" else await _choose(found, state, cgroup_driver)
    return OciRuntime(sorted(found.values(), key=lambda handler: handler.name != choice.handler), choice, missing)


async def _choose(found: Mapping[str, Handler], state: str, cgroup_driver: str) -> Choice:
    """The default handler of "auto"."""
    if FAST not in found:
        return Choice(SAFE, f"{FAST} is not installed")
    refusal = await runtime_trial.refusal(found[FAST].command, state, cgroup_driver)
    if not refusal:
        return Choice(FAST, "it works on this host")
    if SAFE not in found:
        log.warning("%s does not work on this host, and %s is not installed: %s", FAST, SAFE, refusal)
        return Choice(FAST, f"{SAFE} is not installed, though {FAST} does not work on this host: {refusal}")
    return Choice(SAFE, f"{FAST} does not work on this host: {refusal}")


async def _probe(
    name: str, entry: HandlerConfig, state: str, cgroup_driver: str, lacks_idmap: str
) -> Handler | None:
    try:
        path = process.find_program(entry.path)
    except FailedPrecondition:
        return None
    root = entry.root or f"{state}/runtime/{name}"
    handler = Handler(name, entry.type, path, command(path, root, cgroup_driver))
    told = await process.run([path, "--version"], timeout=_PROBE_TIMEOUT)
    done = await process.run([path, "features"], timeout=_PROBE_TIMEOUT)
    known = runtime_words.known(told.stdout)
    features = runtime_words.features(done.stdout) if done.returncode == 0 else known
    if not (features.idmapped_mounts or known.idmapped_mounts):
        lacks_idmap = lacks_idmap or (
            f"{path} {runtime_words.version(told.stdout)} has no idmapped mounts, which runc has since 1.2 and crun "
            "since 1.8.1"
        )
    modern = kernel_version(platform.release()) >= _KERNEL_RRO
    return replace(
        handler,
        recursive_read_only_mounts=features.recursive_read_only and modern,
        lacks_user_namespaces=lacks_idmap,
        maps_single_mounts=known.maps_single_mounts,
    )


def command(path: str, root: str, cgroup_driver: str) -> tuple[str, ...]:
    """The argv prefix of every call of a handler: its own root, and the cgroup driver."""
    systemd = ("--systemd-cgroup",) if cgroup_driver == "systemd" else ()
    return (path, "--root", root, *systemd)


def _state(handler: Handler, container_id: str) -> str:
    """Where the runtime keeps what it knows of a container: runc and crun alike, below their --root."""
    root = handler.command[handler.command.index("--root") + 1]
    return f"{root}/{container_id}"


def _released(state: str) -> bool:
    try:
        return exec_fifo.release(f"{state}/exec.fifo")
    except OSError:
        return False  # The runtime tells better what is wrong with its own file.


def _words(done: Completed) -> str:
    return runtime_words.last_error(done.stderr) or done.failure
