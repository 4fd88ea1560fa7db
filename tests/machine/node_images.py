"""`python -m tests.machine.node_images DIRECTORY`: the images that kubeadm asks for, and the tests' own, as archives.

No registry is reachable from the machine: they are made of the programs that hack/tools builds, under the names that
kubeadm wants, and loaded. Control plane images hold one program; kube-proxy's has the host's iptables besides.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.cluster import programs
from tests.support.cluster.manifests import PAUSE, archives
from tests.support.critest_images import program
from tests.support.images import Document, Node, busybox_tree, directory, file, image, symlink, tar, write_archive

REGISTRY = "registry.k8s.io"
VERSION = "v1.37.2"
ETCD_TAG = "3.7.3"
PAUSE_TAG = "3.10.2"
ENVIRONMENT = {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}
XTABLES = Path("/usr/sbin/xtables-nft-multi")
TABLES = [f"{name}{what}" for name in ("iptables", "ip6tables") for what in ("", "-save", "-restore")]


def of(name: str, *more: bytes) -> Document:
    """An image of one program in /usr/local/bin, on top of `more`."""
    held = tar({f"usr/local/bin/{name}": file(Path(programs.path(name)).read_bytes(), 0o755)})
    return image(*more, held, config={**ENVIRONMENT, "Entrypoint": [name]}, compression="none")


def iptables() -> bytes:
    """The host's iptables with all that it loads, as a layer."""
    tree: dict[str, Node] = {"etc/": directory(), "run/": directory(), "tmp/": directory(0o1777)}
    tree |= program(XTABLES, "usr/sbin/xtables-nft-multi")
    tree |= {f"usr/sbin/{name}": symlink("xtables-nft-multi") for name in TABLES}
    (extensions,) = Path("/usr/lib").glob("*/xtables")
    for path in sorted(extensions.iterdir()):
        tree |= program(path, str(path).lstrip("/"))
    return tar(tree)


def write(to: Path) -> None:
    """All of them, one archive each."""
    for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        write_archive(to / f"{name}.tar", {f"{REGISTRY}/{name}:{VERSION}": of(name)})
    write_archive(to / "kube-proxy.tar", {f"{REGISTRY}/kube-proxy:{VERSION}": of("kube-proxy", iptables())})
    write_archive(to / "etcd.tar", {f"{REGISTRY}/etcd:{ETCD_TAG}": of("etcd")})
    pause = image(busybox_tree(), config={"Entrypoint": ["/bin/sh", "-c", PAUSE]})
    write_archive(to / "pause.tar", {f"{REGISTRY}/pause:{PAUSE_TAG}": pause})
    archives(to)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
