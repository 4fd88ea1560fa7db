"""`criserver doctor` on hosts that are broken on purpose: each fault is named with its remedy."""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.server import PROJECT, conflist

OLD_RUNC = "#!/bin/sh\necho runc version 1.0.0-rc92\n"


class Host:
    """A view of this host that a shell script changes: mounts and network namespace are the examination's own."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.conf_dir = base / "net.d"
        self.conf_dir.mkdir()
        network = conflist("doctor", "doctor0", "10.231.250.0/24", base / "ipam")
        (self.conf_dir / "10-test.conflist").write_text(json.dumps(network))
        self.config: dict[str, Any] = {
            "root": str(base / "root"),
            "state": str(base / "state"),
            "listen": f"unix://{base}/cri.sock",
            "network": {"conf_dir": str(self.conf_dir)},
        }

    def examine(self, script: str = "true") -> tuple[bool, list[dict[str, str]]]:
        """Run the doctor after `script`: whether pods can run there, and the findings."""
        file = self.base / "config.yaml"
        file.write_text(yaml.safe_dump(self.config))
        doctor = [sys.executable, "-m", "criserver", "doctor", "--json", "--config", str(file)]
        done = subprocess.run(
            ["unshare", "--mount", "--net", "sh", "-ec", f"{script}\nexec {shlex.join(doctor)}"],
            cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.stdout, done.stderr
        answer = json.loads(done.stdout)
        assert done.returncode == (0 if answer["podsCanRun"] else 1)
        return answer["podsCanRun"], answer["findings"]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def named(findings: list[dict[str, str]], text: str) -> Mapping[str, str]:
    """The finding that says `text`; it has a meaning and a remedy."""
    found = [each for each in findings if text in each["what"]]
    assert len(found) == 1, [each["what"] for each in findings]
    assert found[0]["meaning"]
    assert found[0]["fix"]
    return found[0]


def programs(*names: str) -> list[str]:
    """Where each of these is, as links lead."""
    paths = [subprocess.run(["which", name], capture_output=True, text=True, check=True).stdout for name in names]
    return [str(Path(path.strip()).resolve()) for path in paths]


def test_nothing_is_wrong(host: Host) -> None:
    can_run, findings = host.examine()
    assert can_run, [each for each in findings if each["severity"] == "error"]
    assert not list(host.base.glob("root/.doctor*"))


def test_no_runc(host: Host) -> None:
    hide = "\n".join(f"mount --bind /dev/null {path}" for path in programs("runc", "crun"))
    can_run, findings = host.examine(hide)
    assert not can_run
    assert "apt install runc" in named(findings, "runc cannot be used")["fix"]


def test_old_runc(host: Host) -> None:
    old = host.base / "runc"
    old.write_text(OLD_RUNC)
    old.chmod(0o755)
    can_run, findings = host.examine(f"mount --bind {old} {programs('runc')[0]}")
    assert can_run
    assert named(findings, "runc 1.0.0-rc92")["severity"] == "warning"


def test_no_plugins(host: Host) -> None:
    host.config["network"]["bin_dirs"] = [str(host.base / "none")]
    can_run, findings = host.examine()
    assert not can_run
    assert "apt install containernetworking-plugins" in named(findings, "bridge, portmap, host-local")["fix"]


def test_an_empty_conflist_directory(host: Host) -> None:
    (host.conf_dir / "10-test.conflist").unlink()
    can_run, findings = host.examine()
    assert not can_run
    assert "network add-on" in named(findings, f"{host.conf_dir} holds no network configuration")["fix"]


def has_v1() -> bool:
    return any(line.split()[2] == "cgroup" for line in Path("/proc/mounts").read_text().splitlines())


@pytest.mark.skipif("not has_v1()", reason="this host has no cgroup v1 hierarchy")
def test_cgroup_v1_only(host: Host) -> None:
    can_run, findings = host.examine("! mountpoint -q /sys/fs/cgroup/unified || umount -l /sys/fs/cgroup/unified")
    assert can_run
    assert "failCgroupV1" in named(findings, "cgroup v1 is in use")["meaning"]
    assert not [each for each in findings if "share the controllers" in each["what"]]


def shared_controllers() -> bool:
    try:
        return has_v1() and bool(Path("/sys/fs/cgroup/unified/cgroup.controllers").read_text().strip())
    except OSError:
        return False


@pytest.mark.skipif("not shared_controllers()", reason="this host has no controllers on v1 and v2 at once")
def test_hybrid_cgroups(host: Host) -> None:
    _, findings = host.examine()
    assert "crun refuses" in named(findings, "cgroup v1 and v2 share the controllers")["meaning"]


def test_no_overlay(host: Host) -> None:
    """An overlay cannot be the upper layer of another: what a server inside a container without a volume meets."""
    script = """
        mkdir o && cd o && mkdir l u w m
        mount -t overlay overlay -o lowerdir=l,upperdir=u,workdir=w m
        mkdir m/root
    """
    host.config["root"] = str(host.base / "o/m/root")
    can_run, findings = host.examine(f"cd {host.base}\n{script}\ncd {PROJECT}")
    assert not can_run
    assert "modprobe overlay" in named(findings, "overlay cannot be mounted")["fix"]


def test_a_full_disk(host: Host) -> None:
    (host.base / "root").mkdir()
    can_run, findings = host.examine(f"mount -t tmpfs -o size=2m tmpfs {host.base}/root")
    assert not can_run
    assert "crictl rmi --prune" in named(findings, "is full: 2 MiB of 2 are free")["fix"]


def test_ip_forward_off(host: Host) -> None:
    _, findings = host.examine("echo 0 > /proc/sys/net/ipv4/ip_forward")
    assert "sysctl -w net.ipv4.ip_forward=1" in named(findings, "net.ipv4.ip_forward is 0")["fix"]


def test_containerd_on_the_same_cni_directory(host: Host) -> None:
    host.config["network"] = {"conf_dir": "/etc/cni/net.d", "default_conflist": True}
    path = host.base / "containerd.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind(str(path))
        other.listen(4)
        script = f"mount -t tmpfs tmpfs /run\nmkdir /run/containerd\nln -s {path} /run/containerd/containerd.sock"
        _, findings = host.examine(script)
    assert "network.conf_dir" in named(findings, "runs too, with the same CNI directory /etc/cni/net.d")["fix"]
