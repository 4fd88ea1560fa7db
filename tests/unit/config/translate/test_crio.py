"""CRI-O's configuration."""

from __future__ import annotations

from criserver.config.translate.rules import translate
from criserver.config.translate.servers import FROM

TEXT = """
[crio]
root = "/var/lib/containers/storage"
storage_driver = "overlay"
[crio.api]
listen = "/var/run/crio/crio.sock"
stream_port = "10010"
[crio.runtime]
default_runtime = "crun"
cgroup_manager = "systemd"
log_level = "warn"
pids_limit = -1
conmon = "/usr/bin/conmon"
default_ulimits = ["nofile=1024:2048"]
default_sysctls = ["net.ipv4.ping_group_range=0 2147483647"]
surprising = "yes"
[crio.runtime.runtimes.crun]
runtime_path = "/usr/bin/crun"
runtime_type = "oci"
allowed_annotations = ["io.kubernetes.cri-o.Devices"]
[crio.runtime.runtimes.vm]
runtime_type = "vm"
[crio.image]
signature_policy = "/etc/crio/policy.json"
pause_image = "registry.k8s.io/pause:3.10"
pinned_images = ["a.example/agent:*"]
[crio.network]
network_dir = "/etc/cni/net.d/"
plugin_dirs = ["/opt/cni/bin/"]
[crio.metrics]
metrics_port = 9537
"""


def test_it_is_translated() -> None:
    found = translate("crio.conf", TEXT.encode(), FROM["crio"])
    assert found.document == {
        "streaming": {"port": 10010},
        "runtime": {
            "default_handler": "crun",
            "cgroup_driver": "systemd",
            "default_ulimits": ["nofile=1024:2048"],
            "default_sysctls": ["net.ipv4.ping_group_range=0 2147483647"],
            "handlers": {"crun": {"path": "/usr/bin/crun", "annotations": ["io.kubernetes.cri-o.Devices"]}},
        },
        "log_level": "warning",
        "image": {"policy": "/etc/crio/policy.json", "pinned": ["a.example/agent:*"]},
        "network": {"conf_dir": "/etc/cni/net.d/", "bin_dirs": ["/opt/cni/bin/"]},
        "metrics": {"port": 9537},
    }


def test_what_has_no_counterpart_is_named() -> None:
    left = translate("crio.conf", TEXT.encode(), FROM["crio"]).left
    named = {line.split(" = ")[0] for line in left}
    assert named == {
        "crio.root", "crio.storage_driver", "crio.api.listen", "crio.runtime.conmon", "crio.runtime.surprising",
        "crio.runtime.runtimes.vm.runtime_type", "crio.image.pause_image",
    }  # fmt: skip
