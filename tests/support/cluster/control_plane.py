"""etcd, API server, controller manager and scheduler, in the namespaces of the first node."""

from __future__ import annotations

import json
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any

import yaml

from tests.support.cluster import programs
from tests.support.cluster.layout import POD_NETWORK, SERVICE_NETWORK, TOKEN, Cluster
from tests.support.cluster.processes import await_ready, pid, start


def run(cluster: Cluster) -> None:
    """Start what does not run yet, and wait until the API server answers."""
    keys(cluster)
    _ensure(cluster, "etcd", _etcd(cluster), lambda: _answers("http", "2379", cluster))
    _ensure(cluster, "kube-apiserver", _apiserver(cluster), lambda: _ready(cluster))
    for name, more in (
        ("kube-controller-manager", _controller_manager(cluster)),
        ("kube-scheduler", ()),
    ):
        common = (f"--kubeconfig={cluster.kubeconfig}", "--leader-elect=false", *gates(cluster))
        _ensure(cluster, name, (*common, *more), lambda: True)


def keys(cluster: Cluster) -> None:
    """The key of service account tokens, the token of everybody else, and the file that kubectl reads."""
    pki = cluster.directory / "pki"
    pki.mkdir(exist_ok=True)
    if not (pki / "sa.key").exists():
        subprocess.run(["openssl", "genrsa", "-out", f"{pki}/sa.key", "2048"], check=True, capture_output=True)
        public = ["openssl", "rsa", "-in", f"{pki}/sa.key", "-pubout", "-out", f"{pki}/sa.pub"]
        subprocess.run(public, check=True, capture_output=True)
    (pki / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n')
    (pki / "tokens.csv").chmod(0o600)
    server = {"server": cluster.api, "certificate-authority": f"{pki}/apiserver.crt"}
    configuration = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "hack",
        "clusters": [{"name": "hack", "cluster": server}],
        "users": [{"name": "admin", "user": {"token": TOKEN}}],
        "contexts": [{"name": "hack", "context": {"cluster": "hack", "user": "admin"}}],
    }
    cluster.kubeconfig.write_text(yaml.safe_dump(configuration))


def get(cluster: Cluster, path: str) -> Any:
    """GET of the API server: the parsed answer; OSError while it is not there."""
    certificate = cluster.directory / "pki/apiserver.crt"
    request = urllib.request.Request(cluster.api + path, headers={"Authorization": f"Bearer {TOKEN}"})
    context = ssl.create_default_context(cafile=str(certificate))
    with urllib.request.urlopen(request, timeout=5, context=context) as answer:
        text = answer.read().decode()
    return json.loads(text) if text.startswith("{") else text


def gates(cluster: Cluster) -> Sequence[str]:
    """The kubelet's feature gates hold for everybody."""
    pairs = ",".join(f"{name}={str(on).lower()}" for name, on in cluster.kubelet.get("featureGates", {}).items())
    return (f"--feature-gates={pairs}",) if pairs else ()


def _ensure(cluster: Cluster, name: str, arguments: Sequence[str], ready: Callable[[], object]) -> None:
    if not pid(cluster, name):
        start(cluster, name, [programs.path(name), *arguments], node=cluster.nodes[0])
    await_ready(cluster, name, ready)


def _etcd(cluster: Cluster) -> Sequence[str]:
    address, host = cluster.nodes[0].address, "http://127.0.0.1"
    return (
        f"--data-dir={cluster.directory}/etcd", "--unsafe-no-fsync",
        f"--listen-client-urls={host}:2379,http://{address}:2379", f"--advertise-client-urls={host}:2379",
        f"--listen-peer-urls={host}:2380", "--log-level=warn",
    )  # fmt: skip


def _apiserver(cluster: Cluster) -> Sequence[str]:
    pki = cluster.directory / "pki"
    return (
        "--etcd-servers=http://127.0.0.1:2379", f"--advertise-address={cluster.nodes[0].address}", f"--cert-dir={pki}",
        f"--token-auth-file={pki}/tokens.csv", "--authorization-mode=AlwaysAllow", "--allow-privileged=true",
        f"--service-cluster-ip-range={SERVICE_NETWORK}", "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki}/sa.pub", f"--service-account-signing-key-file={pki}/sa.key",
        "--kubelet-preferred-address-types=InternalIP", *gates(cluster),
    )  # fmt: skip


def _controller_manager(cluster: Cluster) -> Sequence[str]:
    pki = cluster.directory / "pki"
    return (
        f"--service-account-private-key-file={pki}/sa.key", f"--root-ca-file={pki}/apiserver.crt",
        "--allocate-node-cidrs=true", f"--cluster-cidr={POD_NETWORK}", "--node-cidr-mask-size=24",
    )  # fmt: skip


def _answers(scheme: str, port: str, cluster: Cluster) -> bool:
    try:
        with urllib.request.urlopen(f"{scheme}://{cluster.nodes[0].address}:{port}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _ready(cluster: Cluster) -> bool:
    try:
        return bool(get(cluster, "/readyz") == "ok")
    except (OSError, urllib.error.HTTPError):
        return False
