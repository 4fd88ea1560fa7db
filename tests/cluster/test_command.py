"""hack/cluster as people use it: what it prints, its exit codes, and that it leaves the host as it was."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.cluster import processes, programs, teardown
from tests.support.cluster.layout import Cluster
from tests.support.server import PROJECT

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory with a short name for a cluster, which is taken away."""
    path = Path(f"/tmp/ck.{os.getpid()}")
    yield path
    hack(path, "down")


def hack(place: Path, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """hack/cluster, whatever its exit code."""
    return subprocess.run(
        [f"{PROJECT}/hack/cluster", f"--directory={place}", *arguments],
        capture_output=True, text=True, check=False, env={**os.environ, **(env or {})},
    )  # fmt: skip


@pytest.mark.parametrize("runtime", ["criserver", "containerd"])
def test_a_cluster_is_made_mended_and_taken_away(place: Path, images: list[Path], runtime: str) -> None:
    if lacking := programs.missing(runtime):
        pytest.skip(lacking)
    before = _host()
    up = hack(place, "up", f"--runtime={runtime}")
    assert up.returncode == 0 and f"1 node(s) with {runtime} Ready" in up.stdout, up.stderr
    said = subprocess.run(
        ["sh", "-c", f"{re.search('export .*', up.stdout)[0]}; kubectl get nodes --no-headers"],  # type: ignore[index]
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert said.split()[:2] == ["node1", "Ready"]
    assert hack(place, "load", str(images[0])).returncode == 0
    run = ("run", "one", "--image=busybox:cluster", "--restart=Never", "--image-pull-policy=Never", "--", "true")
    assert hack(place, "kubectl", *run).returncode == 0
    wait = ("wait", "pod/one", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
    assert hack(place, "kubectl", *wait).returncode == 0
    assert hack(place, "status").returncode == 0
    cluster = Cluster.load(place)
    assert cluster
    for name in ("kube-scheduler", f"node1-{runtime}"):
        processes.stop(cluster, name, how=signal.SIGKILL)
    broken = hack(place, "status")
    assert broken.returncode == 1 and len(re.findall("ENDED", broken.stdout)) == 2
    again = hack(place, "up")
    assert again.returncode == 0 and hack(place, "status").returncode == 0
    down = hack(place, "down")
    assert down.returncode == 0 and "is gone" in down.stdout, down.stderr
    assert not place.exists() and not teardown.left(cluster) and _host() == before
    assert "there is no cluster" in hack(place, "down").stdout


def test_what_is_missing_is_named_with_its_remedy(place: Path) -> None:
    for asked in (("--network=flannel",), ("--kubelet-version=1.35",)):
        done = hack(place, "up", *asked, env={"CRISERVER_TOOLS": "/nonexistent"})
        assert done.returncode == 1 and not place.exists()
        words = done.stderr.splitlines()[-1]
        assert words.startswith("cluster: etcd, kube-apiserver") and "missing: hack/tools etcd" in words
        assert ("flannel" if "flannel" in asked[0] else "kubelet-1.35") in words.split("hack/tools")[1]


def test_without_a_cluster_the_other_commands_say_how_to_make_one(place: Path) -> None:
    for command in (("status",), ("load", "/nonexistent"), ("kubectl", "get", "pods")):
        done = hack(place, *command)
        assert (done.returncode, done.stderr) == (1, f"cluster: there is no cluster in {place}: hack/cluster up\n")


def _host() -> list[str]:
    """Rules of Kubernetes and of pods in this host's own network, mounts and links: where a cluster has none."""
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout.splitlines()
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found = [rule for rule in rules if re.search(r"KUBE-|FLANNEL|10\.244\.|10\.96\.", rule)]
    return found + [mount.split()[4] for mount in mounts if "/var/lib/kubelet" in mount]
