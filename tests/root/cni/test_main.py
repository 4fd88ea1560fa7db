"""`python -m cni` on real plugins, and what a kill -9 of it leaves to be cleaned up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cni import Attachment
from tests.root.cni.conftest import Host

ROOT = Path(__file__).parents[3]


def command(host: Host, bin_dirs: list[Path], name: str, *more: str) -> list[str]:
    """The command line that runs the package on the test's host."""
    options = [f"--conf-dir={host.directory}/conf", f"--cache-dir={host.cache.directory}"]
    options += [f"--bin-dir={path}" for path in bin_dirs]
    return ["nsenter", f"--net={host.netns}", sys.executable, "-m", "cni", name, *options, *more]


def configure(host: Host, *more: dict[str, Any], version: str) -> None:
    (host.directory / "conf").mkdir()
    document = host.config(*more, version=version, masquerade=False).to_json()
    (host.directory / "conf" / "10-crcni.conflist").write_text(json.dumps(document))


def cni(host: Host, bin_dirs: list[Path], name: str, *more: str) -> dict[str, Any]:
    done = subprocess.run(command(host, bin_dirs, name, *more), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_every_command(host: Host, current: Path, pod: Attachment) -> None:
    configure(host, {"type": "portmap", "capabilities": {"portMappings": True}}, version="1.1.0")
    mapping = {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}
    who = [f"--id={pod.container_id}", f"--netns={pod.netns}", f"--capability-args={json.dumps(mapping)}"]
    assert "1.1.0" in cni(host, [current], "version")["plugins"]["bridge"]
    assert cni(host, [current], "status")["ready"] is True
    assert cni(host, [current], "add", *who)["ips"][0]["address"].startswith("10.201.7.")
    assert cni(host, [current], "check", *who)["checked"] is True
    assert cni(host, [current], "gc")["deleted"] == []
    host.lose(pod.netns)
    assert cni(host, [current], "gc")["deleted"] == [{"containerID": pod.container_id, "ifname": "eth0"}]
    assert cni(host, [current], "del", *who)["deleted"] is True
    assert host.leftovers(pod.container_id) == []


@pytest.mark.parametrize("remedy", ["del", "gc"])
def test_killed_in_the_middle_of_add_nothing_is_lost_from_sight(
    host: Host, bin_dir: Path, pod: Attachment, tmp_path: Path, remedy: str
) -> None:
    """The lease and the link of the first plugin are there, its successor hangs, and the runtime dies by kill -9."""
    slow = tmp_path / "slow" / "slow"
    slow.parent.mkdir()
    slow.write_text(f"#!/bin/sh\n[ $CNI_COMMAND = ADD ] || exit 0\necho $$ > {tmp_path}/pid\nexec sleep 1000\n")
    slow.chmod(0o755)
    configure(host, {"type": "slow"}, version="1.0.0")
    who = [f"--id={pod.container_id}", f"--netns={pod.netns}"]
    with subprocess.Popen(command(host, [bin_dir, slow.parent], "add", *who), cwd=ROOT) as runtime:
        while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip()):
            time.sleep(0.01)
        runtime.kill()
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert len(host.leased()) == 1
    if remedy == "gc":
        assert cni(host, [bin_dir, slow.parent], "gc", "--valid=other")["deleted"] == [
            {"containerID": pod.container_id, "ifname": "eth0"}
        ]
    else:
        cni(host, [bin_dir, slow.parent], "del", *who)
    assert host.leftovers(pod.container_id) == []
