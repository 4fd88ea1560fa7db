"""The kernel: its version, namespaces, overlay, and the links that pod networks are made of. Tried where it can be."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field

from criserver.config.schema import Config
from criserver.doctor.finding import Finding, error, note, ok
from criserver.errors import CriError
from criserver.kernel import process

OLDEST = (5, 10)  # pidfd_open, close_range and the mount calls that are used
IDMAPPED_OVERLAY = (5, 19)
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
_OVERLAY = 'cd "$0" && mkdir l u w m && mount -t overlay overlay -o lowerdir=l,upperdir=u,workdir=w m'
_LINKS = "ip link add doctor0 type bridge && ip link add doctor1 type veth peer name doctor2"


@dataclass(frozen=True, slots=True)
class KernelFacts:
    """What the kernel is and can do. The troubles are empty where a trial went well, else the words of who refused."""

    release: str
    namespaces: frozenset[str] = frozenset(NAMESPACES)
    overlay_trouble: str = ""
    links_trouble: str = ""
    root: str = field(default="/var/lib/criserver")

    @property
    def version(self) -> tuple[int, ...]:
        """Major and minor number."""
        numbers = self.release.split("-")[0].split(".")[:2]
        return tuple(int(part) for part in numbers if part.isdigit())


async def read(config: Config) -> KernelFacts:
    """Look, and try an overlay where images will be and links in a network namespace of their own."""
    return KernelFacts(
        release=platform.release(),
        namespaces=frozenset(name for name in NAMESPACES if os.path.exists(f"/proc/self/ns/{name}")),
        overlay_trouble=await _try_overlay(config.root),
        links_trouble=await _tried("unshare", "--net", "sh", "-c", _LINKS),
        root=config.root,
    )


def judge(facts: KernelFacts) -> Iterator[Finding]:
    """Findings about the kernel."""
    if facts.version < OLDEST:
        yield error(
            f"Linux {facts.release} is older than {'.'.join(map(str, OLDEST))}",
            "system calls that containers are started and stopped with are missing",
            "install a newer kernel (apt install linux-image-amd64) and reboot",
        )
    else:
        yield ok(f"Linux {facts.release}")
    if missing := sorted(set(NAMESPACES) - facts.namespaces):
        yield error(
            f"the kernel has no namespaces of kind {', '.join(missing)}",
            "pods cannot be kept apart",
            "boot a kernel with CONFIG_NAMESPACES and CONFIG_{UTS,IPC,PID,NET,USER}_NS",
        )
    if facts.overlay_trouble:
        yield error(
            f"overlay cannot be mounted in {facts.root}: {facts.overlay_trouble}",
            "containers get no root file system",
            "modprobe overlay; and keep root on ext4 or xfs (ftype=1), not on overlay or a network file system",
        )
    else:
        yield ok(f"overlay works in {facts.root}")
    if facts.links_trouble:
        yield error(
            f"bridge and veth links cannot be made: {facts.links_trouble}",
            "pods get no network",
            "modprobe -a bridge veth; apt install iproute2",
        )
    else:
        yield ok("bridge and veth links can be made")
    if OLDEST <= facts.version < IDMAPPED_OVERLAY:
        yield note(
            f"Linux {facts.release} has no idmapped overlay layers (5.19 has)", "pods with hostUsers: false are refused"
        )


async def _try_overlay(root: str) -> str:
    parent = root
    while not os.path.isdir(parent):
        parent = os.path.dirname(parent)
    try:
        with tempfile.TemporaryDirectory(prefix=".doctor-", dir=parent) as directory:
            return await _tried("unshare", "--mount", "sh", "-c", _OVERLAY, directory)
    except OSError as problem:
        return str(problem)


async def _tried(*argv: str) -> str:
    """Empty when the command went well, else its last words."""
    try:
        done = await process.run(argv, timeout=20)
    except CriError as problem:
        return str(problem)
    return "" if done.returncode == 0 else done.stderr.decode(errors="replace").strip().replace("\n", "; ")
