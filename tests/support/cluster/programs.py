"""Where the programs of a cluster are, and what to do about those that are missing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

TOOLS = Path(os.environ.get("CRISERVER_TOOLS", Path.home() / ".cache/criserver/tools"))
BUILT_BY = {
    "etcd": "etcd",
    "kubelet": "kubernetes",
    "kube-apiserver": "kubernetes",
    "kube-controller-manager": "kubernetes",
    "kube-scheduler": "kubernetes",
    "kube-proxy": "kubernetes",
    "kubectl": "kubernetes",
    "containerd": "containerd",
    "ctr": "containerd",
}
PACKAGED = {
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setsid": "util-linux",
    "ip": "iproute2",
    "iptables": "iptables",
    "openssl": "openssl",
    "runc": "runc",
    "skopeo": "skopeo",
}
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
NODE = ("kubelet", "kube-proxy")


def path(name: str) -> str:
    """The program: the one that hack/tools built, else one in PATH; "" when there is none."""
    built = TOOLS / "bin" / name
    return str(built) if built.exists() else shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") or ""


def cni_dirs() -> list[str]:
    """Plugin directories, current plugins first."""
    return [directory for directory in (str(TOOLS / "cni"), "/opt/cni/bin", "/usr/lib/cni") if os.path.isdir(directory)]


def missing(runtime: str = "criserver") -> str:
    """What a cluster lacks here, and how to get it; "" when nothing is missing."""
    wanted = [*CONTROL_PLANE, *NODE]
    wanted += ["containerd", "ctr"] if runtime == "containerd" else []
    tools = sorted({BUILT_BY[name] for name in wanted if not path(name)})
    packages = sorted({package for name, package in PACKAGED.items() if not path(name)})
    lacking = ", ".join(name for name in (*wanted, *PACKAGED) if not path(name))
    remedies = [f"hack/tools {' '.join(tools)} (with Go; kubernetes takes a quarter of an hour)"] if tools else []
    remedies += [f"apt-get install {' '.join(packages)}"] if packages else []
    return f"{lacking} missing: {' and '.join(remedies)}" if lacking else ""
