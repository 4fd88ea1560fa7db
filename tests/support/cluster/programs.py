"""Where the programs of a cluster are, and what to do about those that are missing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

TOOLS = Path(os.environ.get("CRISERVER_TOOLS", Path.home() / ".cache/criserver/tools"))
OLDER_KUBELETS = ("1.36", "1.35")
"""Minor versions of kubelets that work with the API server as well."""
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
    "flanneld": "flannel",
    **{f"kubelet-{version}": f"kubelet-{version}" for version in OLDER_KUBELETS},
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


def path(name: str) -> str:
    """The program: the one that hack/tools built, else one in PATH; "" when there is none."""
    built = TOOLS / "bin" / name
    return str(built) if built.exists() else shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") or ""


def cni_dirs() -> list[str]:
    """Plugin directories, current plugins first."""
    return [directory for directory in (str(TOOLS / "cni"), "/opt/cni/bin", "/usr/lib/cni") if os.path.isdir(directory)]


def kubelet(version: str = "") -> str:
    """The name of the kubelet of that minor version, "" for the current one."""
    return f"kubelet-{version}" if version else "kubelet"


def missing(runtime: str = "criserver", pod_network: str = "routes", kubelet_version: str = "") -> str:
    """What a cluster lacks here, and how to get it; "" when nothing is missing."""
    wanted = [*CONTROL_PLANE, kubelet(kubelet_version), "kube-proxy"]
    wanted += ["containerd", "ctr"] if runtime == "containerd" else []
    wanted += ["flanneld"] if pod_network == "flannel" else []
    tools = sorted({BUILT_BY[name] for name in wanted if not path(name)})
    packages = sorted({package for name, package in PACKAGED.items() if not path(name)})
    lacking = ", ".join(name for name in (*wanted, *PACKAGED) if not path(name))
    remedies = [f"hack/tools {' '.join(tools)} (with Go; kubernetes takes a quarter of an hour)"] if tools else []
    remedies += [f"apt-get install {' '.join(packages)}"] if packages else []
    return f"{lacking} missing: {' and '.join(remedies)}" if lacking else ""
