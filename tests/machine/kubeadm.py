"""A control plane that kubeadm makes on this machine, by the recipe in kind/kubeadm; and kubectl against it."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.machine.conftest import SECONDS, run
from tests.machine.node_images import ETCD_TAG, VERSION
from tests.support.cluster import programs
from tests.support.server import PROJECT

RECIPE = PROJECT / "kind/kubeadm"
CONFIG = Path("/etc/kubernetes/init.yaml")
ADMIN = "--kubeconfig=/etc/kubernetes/admin.conf"
BEFORE = Path("/var/lib/criserver-test-before.json")
"""What was there before the reboot."""
WEB = "web"
"""The Deployment and its Service."""
CONTAINER = Path("/run/systemd/container").exists()
"""Whether this machine is a container (hack/vm with VM_ENGINE=container)."""
POD_NETWORK = "10.244.0.0/24"

_TIMEOUT = f"{int(SECONDS)}s"
_TIMEOUTS = ("controlPlaneComponentHealthCheck", "kubeletHealthCheck", "kubernetesAPICall", "tlsBootstrap")


def configuration() -> str:
    """The recipe's own file, and over it what this machine wants: versions that are here, and patience."""
    init, cluster = yaml.safe_load_all((RECIPE / "init.yaml").read_text())
    init["timeouts"] = dict.fromkeys(_TIMEOUTS, _TIMEOUT)
    init["skipPhases"] = ["addon/coredns"]  # nothing here asks for names
    init["nodeRegistration"]["taints"] = []  # the one node runs pods as well
    cluster["kubernetesVersion"] = VERSION
    etcd = [{"name": "heartbeat-interval", "value": "1000"}, {"name": "election-timeout", "value": "10000"}]
    cluster["etcd"] = {"local": {"dataDir": "/var/lib/etcd", "imageTag": ETCD_TAG, "extraArgs": etcd}}
    for component in ("controllerManager", "scheduler"):
        cluster[component] = {"extraArgs": [{"name": "leader-elect", "value": "false"}]}
    return yaml.safe_dump_all([init, cluster, *(_in_a_container(init) if CONTAINER else ())])


def _in_a_container(init: dict[str, Any]) -> list[dict[str, Any]]:
    """What a kubelet and kube-proxy need where the kernel is that of another host, as in kind."""
    init["nodeRegistration"]["ignorePreflightErrors"] = ["SystemVerification"]
    kubelet = {"failCgroupV1": False, "failSwapOn": False, "oomScoreAdj": 0}
    proxy = {
        "oomScoreAdj": 0,
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
    return [
        {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", **kubelet},
        {"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration", **proxy},
    ]


def prepare(images: Path) -> None:
    """What an administrator does before kubeadm: a kubelet, forwarding, a pod network, images."""
    for name in ("kubelet", "kubeadm", "kubectl"):
        link = Path("/usr/bin") / name
        link.unlink(missing_ok=True)
        link.symlink_to(programs.path(name))
    Path("/etc/systemd/system/kubelet.service").write_text((RECIPE / "kubelet.service").read_text())
    run("systemctl", "daemon-reload")
    run("systemctl", "enable", "kubelet")
    Path("/etc/sysctl.d/90-kubernetes.conf").write_text("net.ipv4.ip_forward = 1\n")
    run("sysctl", "-p", "/etc/sysctl.d/90-kubernetes.conf")
    sample = Path("/usr/share/doc/criserver/examples/10-criserver.conflist").read_text()
    network = Path("/etc/cni/net.d/10-criserver.conflist")
    network.parent.mkdir(parents=True, exist_ok=True)
    network.write_text(sample.replace("10.86.0.0/16", POD_NETWORK))
    CONFIG.parent.mkdir(exist_ok=True)
    CONFIG.write_text(configuration())
    for archive in sorted(images.glob("*.tar")):
        run("criserver", "load", archive)
        archive.unlink()


def kubectl(*arguments: str, given: str = "") -> str:
    """What kubectl prints; it must succeed."""
    done = subprocess.run(
        ["kubectl", ADMIN, *arguments], input=given, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}{done.stdout}"
    return done.stdout


def get(*what: str) -> Any:
    """Objects as the API has them: ("pods", "--all-namespaces")."""
    return json.loads(kubectl("get", *what, "--output=json"))


def apply(*objects: Mapping[str, Any]) -> None:
    """Create or change them."""
    kubectl("apply", "--filename=-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))


def until(true: Callable[[], bool], what: str) -> None:
    """Poll until `true`; an API server that does not answer yet counts as no."""
    deadline, said = time.monotonic() + SECONDS, ""
    while True:
        try:
            if true():
                return
        except (AssertionError, subprocess.TimeoutExpired) as error:
            said = str(error)
        assert time.monotonic() < deadline, f"waited in vain for {what}: {said}\n{troubles()}"
        time.sleep(2)


def troubles() -> str:
    """What the node says when something does not come."""
    pods = run("crictl", "ps", "--all", check=False)
    kubelet = run("journalctl", "--unit=kubelet", "--lines=15", "--no-pager", check=False)
    return f"{pods.stdout}{pods.stderr}\n{kubelet.stdout}"


def ready(pod: Mapping[str, Any]) -> bool:
    """Whether all of the pod's containers are."""
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", []))


def snapshot() -> dict[str, int]:
    """The cluster's pods and how often their containers were restarted."""
    return {
        f"{each['metadata']['namespace']}/{each['metadata']['name']}": sum(
            status["restartCount"] for status in each["status"].get("containerStatuses", [])
        )
        for each in get("pods", "--all-namespaces")["items"]
    }


def fetch(url: str) -> str:
    """The page; AssertionError when there is none."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return str(answer.read().decode())
    except OSError as error:
        raise AssertionError(f"{url}: {error}") from error


def boot() -> str:
    """This boot's id."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
