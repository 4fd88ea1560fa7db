"""containerd's configuration, old and new."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from criserver.config import keys
from criserver.config.schema import Config
from criserver.config.translate.rules import Path, translate
from criserver.config.translate.servers import FROM

NEW = """
version = 3
root = "/var/lib/containerd"
[plugins."io.containerd.cri.v1.images"]
snapshotter = "overlayfs"
[plugins."io.containerd.cri.v1.images".registry]
config_path = "/etc/containerd/certs.d"
[plugins."io.containerd.cri.v1.runtime"]
device_ownership_from_security_context = true
[plugins."io.containerd.cri.v1.runtime".containerd]
default_runtime_name = "runc"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
pod_annotations = ["io.example/*"]
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
SystemdCgroup = true
BinaryName = "/opt/runc"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.kata]
runtime_type = "io.containerd.kata.v2"
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["/opt/cni/bin"]
conf_dir = "/etc/cni/net.d"
[plugins."io.containerd.nri.v1.nri"]
socket_path = "/run/nri/nri.sock"
"""
OLD = """
version = 2
[metrics]
address = "0.0.0.0:1338"
[debug]
level = "warn"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "registry.k8s.io/pause:3.10"
stream_server_port = "10010"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
"""


def test_a_new_one() -> None:
    found = translate("config.toml", NEW.encode(), FROM["containerd"])
    assert found.document == {
        "runtime": {
            "device_ownership_from_security_context": True,
            "default_handler": "runc",
            "handlers": {"runc": {"annotations": ["io.example/*"], "path": "/opt/runc"}},
            "cgroup_driver": "systemd",
        },
        "network": {"bin_dirs": ["/opt/cni/bin"], "conf_dir": "/etc/cni/net.d"},
    }
    told = "\n".join(found.left)
    assert "root = '/var/lib/containerd': each server has directories of its own" in told
    assert "say mirrors in registries.conf" in told
    assert "kata.runtime_type = 'io.containerd.kata.v2': only runc, crun" in told
    assert "nri" not in told, "other plugins are no part of the CRI"


def test_an_old_one() -> None:
    found = translate("config.toml", OLD.encode(), FROM["containerd"])
    assert found.document == {
        "metrics": {"port": 1338},
        "log_level": "warning",
        "streaming": {"port": 10010},
        "network": {"bin_dirs": ["/usr/lib/cni"]},
    }
    assert [line for line in found.left if "pause" in line]


def leads_to_a_key(path: Path) -> bool:
    section: Any = Config
    for part in path[:-1]:
        hint = section if get_origin(section) is dict else get_type_hints(section).get(part)
        section = get_args(hint)[1] if part == "*" else hint
        if get_origin(section) is dict:
            continue
        if section is None or not dataclasses.is_dataclass(section):
            return False
    return path[-1] in get_type_hints(section)


@pytest.mark.parametrize("server", FROM)
def test_every_rule_leads_to_a_key_that_there_is(server: str) -> None:
    ours = {rule.ours for rule in FROM[server] if rule.ours}
    assert ours
    assert [path for path in ours if not leads_to_a_key(path)] == []


def test_what_comes_out_is_taken_by_the_server() -> None:
    document = translate("config.toml", NEW.encode(), FROM["containerd"]).document
    keys.build(keys.check(document, Config), Config)
