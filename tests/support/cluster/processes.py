"""Processes of a cluster: started apart from the caller, found again by a mark in their environment."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from tests.support.cluster.layout import MARK, Cluster, Node

# The shell goes where it is to be accounted, writes its pid and becomes the program; nsenter does so too, as long as
# no PID namespace is entered.
_RECORDED = ("sh", "-c", 'for c in $PROCS; do echo $$ >"$c"; done; echo $$ >"$0"; unset PROCS; exec "$@"')


class Failed(Exception):
    """A cluster does not do what it should; the message says what and shows the log."""


def start(
    cluster: Cluster,
    name: str,
    argv: Iterable[str],
    *,
    node: Node | None = None,
    env: Mapping[str, str] | None = None,
    cgroups: Iterable[str] = (),
) -> int:
    """Start a daemon with a session of its own, in `node`'s namespaces and in `cgroups` if given; its pid.

    It logs to logs/NAME.log.
    """
    pidfile, log = cluster.directory / "pids" / name, logfile(cluster, name)
    for path in (pidfile, log):
        path.parent.mkdir(parents=True, exist_ok=True)
    pidfile.unlink(missing_ok=True)
    inside = within(node) if node else []
    with log.open("ab") as output:
        subprocess.run(
            ["setsid", "--fork", *_RECORDED, str(pidfile), *inside, *argv],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=True, cwd="/",
            env={
                **os.environ, **(env or {}), MARK: str(cluster.directory),
                "PROCS": " ".join(f"{path}/cgroup.procs" for path in cgroups),
            },
        )  # fmt: skip
    wait_until(lambda: pid(cluster, name) > 0, 10, f"{name} to be started")
    return pid(cluster, name)


def within(node: Node) -> list[str]:
    """The beginning of a command that runs in the node's namespaces."""
    holder = pid(node.cluster, f"{node.name}-namespaces")
    return ["nsenter", f"--net=/proc/{holder}/ns/net", f"--mount=/proc/{holder}/ns/mnt", "--"]


def logfile(cluster: Cluster, name: str) -> Path:
    """What a process says."""
    return cluster.directory / "logs" / f"{name}.log"


def pid(cluster: Cluster, name: str) -> int:
    """Of a process that was started by that name and lives; else 0."""
    with contextlib.suppress(OSError, ValueError):
        found = int((cluster.directory / "pids" / name).read_text())
        return found if found in marked(cluster.directory, [found]) else 0
    return 0


def marked(directory: Path, among: Iterable[int] | None = None) -> list[int]:
    """Living processes that bear the cluster's mark: daemons, zygotes, monitors, shims; not those of containers."""
    mark = f"{MARK}={directory}\0".encode()
    found = []
    for number in among or (int(entry) for entry in os.listdir("/proc") if entry.isdecimal()):
        with contextlib.suppress(OSError):
            state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
            if state not in "ZX" and mark in Path(f"/proc/{number}/environ").read_bytes():
                found.append(number)
    return found


def stop(cluster: Cluster, name: str, seconds: float = 20, how: signal.Signals = signal.SIGTERM) -> None:
    """Signal a process and wait for its end; after `seconds` it is killed."""
    number = pid(cluster, name)
    if not number:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(number, how)
    try:
        wait_until(lambda: not marked(cluster.directory, [number]), seconds, f"{name} to end")
    except Failed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


def wait_until(true: Callable[[], object], seconds: float, what: str, every: float = 0.05) -> None:
    """Poll until `true`; Failed when time is up."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise Failed(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(every)


def await_ready(cluster: Cluster, name: str, true: Callable[[], object], seconds: float = 60) -> None:
    """Poll until a process that was started does what it should; Failed with the end of its log."""

    def alive_and_true() -> object:
        if not pid(cluster, name):
            raise Failed(f"{name} has ended")
        return true()

    try:
        wait_until(alive_and_true, seconds, f"{name} to be ready")
    except Failed as error:
        path = logfile(cluster, name)
        raise Failed(f"{error}; the end of {path}:\n{tail(path)}") from None


def tail(path: Path, lines: int = 12) -> str:
    """The last lines of a log."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else "(no log)"
