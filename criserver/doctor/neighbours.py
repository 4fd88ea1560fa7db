"""Other CRI servers on the node, and where crictl points."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from criserver.config.schema import Config
from criserver.doctor.finding import Finding, note, ok, warning
from criserver.kernel import instance, proc

SOCKETS = {
    "/run/containerd/containerd.sock": "containerd",
    "/run/k3s/containerd/containerd.sock": "k3s's containerd",
    "/run/crio/crio.sock": "CRI-O",
    "/run/cri-dockerd.sock": "cri-dockerd",
}
CNI_DIRECTORY = "/etc/cni/net.d"  # of them all, but k3s's containerd
CRICTL = "/etc/crictl.yaml"


@dataclass(frozen=True, slots=True)
class NeighbourFacts:
    """`others` are the servers that listen, with their pids; `own` the pid at our own socket (None: nobody)."""

    listen: str
    conf_dir: str
    own: int | None
    own_name: str
    others: tuple[tuple[str, int], ...]
    crictl: str


async def read(config: Config) -> NeighbourFacts:
    """Look who listens where."""
    listening = [(name, instance.listener(path)) for path, name in SOCKETS.items() if path != config.socket_path]
    own = instance.listener(config.socket_path)
    return NeighbourFacts(
        listen=config.listen,
        conf_dir=config.network.conf_dir,
        own=own,
        own_name=proc.comm(own) or "" if own else "",
        others=tuple((name, pid) for name, pid in listening if pid is not None),
        crictl=_crictl(),
    )


def judge(facts: NeighbourFacts) -> Iterator[Finding]:
    """Findings about others."""
    if not facts.others:
        yield ok("no other CRI server listens on this host")
    if facts.own is not None:
        yield ok(f"{facts.own_name or 'a server'} (pid {facts.own}) listens on {facts.listen}")
    for name, pid in facts.others:
        if facts.conf_dir == CNI_DIRECTORY and "k3s" not in name:
            yield warning(
                f"{name} (pid {pid}) runs too, with the same CNI directory {CNI_DIRECTORY}",
                "both give addresses of one network; a garbage collection of one may take the other's away",
                f"stop {name} (systemctl disable --now …), or set network.conf_dir to a directory of its own",
            )
        else:
            yield note(f"{name} (pid {pid}) runs too", "see that the kubelet points at the server that you mean")
    if facts.crictl and facts.crictl != facts.listen:
        yield note(
            f"{CRICTL} points at {facts.crictl}, not at {facts.listen}", "crictl shows another server's pods",
            f"crictl config --set runtime-endpoint={facts.listen} --set image-endpoint={facts.listen}",
        )  # fmt: skip


def _crictl() -> str:
    try:
        with open(CRICTL) as file:
            document = yaml.safe_load(file.read(1 << 16))
    except (OSError, ValueError, yaml.YAMLError):
        return ""
    endpoint = document.get("runtime-endpoint") if isinstance(document, dict) else None
    return endpoint if isinstance(endpoint, str) else ""
