"""containerd's config.toml, versions 2 to 4 (docs/cri/config.md of containerd 1.7 to 2.4).

Version 2 has one plugin for all of the CRI; later ones split it. A path is tried under each plugin that may have it.
"""

from __future__ import annotations

from collections.abc import Iterator

from criserver.config.translate import values
from criserver.config.translate.rules import Path, Rule

_OLD = "io.containerd.grpc.v1.cri"
_RUNTIME = "io.containerd.cri.v1.runtime"
_IMAGES = "io.containerd.cri.v1.images"
_HERE = "each server has directories of its own: images are pulled again, pods made anew"
_RUNC = {"io.containerd.runc.v2": "runc", "io.containerd.runc.v1": "runc"}


def _driver(systemd: object) -> str:
    return "systemd" if systemd else "cgroupfs"


def _kind(value: object) -> str | None:
    if value not in _RUNC:
        raise ValueError("only runc, crun and what takes their arguments run here, not other shims")
    return None  # ours is runc, too, unless it is said otherwise


def _under(plugins: tuple[str, ...], below: Path, **rule: object) -> Iterator[Rule]:
    for plugin in plugins:
        yield Rule(("plugins", plugin, *below), **rule)  # type: ignore[arg-type] # the fields of Rule


def _handlers() -> Iterator[Rule]:
    for plugin in (_OLD, _RUNTIME):
        theirs = ("plugins", plugin, "containerd", "runtimes", "*")
        ours = ("runtime", "handlers", "*")
        yield Rule((*theirs, "runtime_type"), (*ours, "type"), _kind)
        yield Rule((*theirs, "options", "BinaryName"), (*ours, "path"))
        yield Rule((*theirs, "options", "Root"), (*ours, "root"))
        yield Rule((*theirs, "options", "SystemdCgroup"), ("runtime", "cgroup_driver"), _driver)
        yield Rule((*theirs, "base_runtime_spec"), (*ours, "base_spec"))
        flag = "privileged_without_host_devices"
        yield Rule((*theirs, flag), (*ours, flag))
        yield Rule((*theirs, "pod_annotations"), (*ours, "annotations"))
        yield Rule((*theirs, "container_annotations"), (*ours, "annotations"))
        yield Rule((*theirs, "sandboxer"), why="")
        yield Rule((*theirs, "snapshotter"), why="overlay is the only one here")
        yield Rule((*theirs, "cni_conf_dir"), why="one network directory serves all handlers")


def _rest() -> Iterator[Rule]:
    both = (_OLD, _RUNTIME)
    yield from _under(both, ("containerd", "default_runtime_name"), ours=("runtime", "default_handler"))
    yield from _under(both, ("cni", "conf_dir"), ours=("network", "conf_dir"))
    yield from _under(both, ("cni", "bin_dir"), ours=("network", "bin_dirs"), say=values.nonempty_list)
    yield from _under(both, ("cni", "bin_dirs"), ours=("network", "bin_dirs"))
    yield from _under(both, ("cni", "max_conf_num"), why="")
    yield from _under(both, ("cdi_spec_dirs",), ours=("runtime", "cdi_spec_dirs"))
    flag = "device_ownership_from_security_context"
    yield from _under(both, (flag,), ours=("runtime", flag))
    for usual in ("enable_criu", "enable_unprivileged_ports", "enable_unprivileged_icmp", "selinux_category_range",
                  "max_container_log_line_size", "disable_hugetlb_controller", "enable_cdi",
                  "tolerate_missing_hugetlb_controller", "stats_collect_period"):  # fmt: skip
        yield from _under((_OLD, _RUNTIME, _IMAGES), (usual,), why="")
    images = (_OLD, _IMAGES)
    yield from _under((_OLD,), ("sandbox_image",), why="pods need no pause image here")
    yield from _under(images, ("pinned_images", "sandbox"), why="")
    yield from _under(images, ("snapshotter",), why="")
    yield from _under((_OLD,), ("containerd", "snapshotter"), why="overlay is the only one here")
    yield from _under(
        images, ("registry", "config_path"),
        why="hosts.toml files are not read: say mirrors in registries.conf (image.registries_conf)",
    )  # fmt: skip
    yield from _under(
        images, ("image_pull_progress_timeout",), ours=("image", "pull_progress_timeout"), say=values.seconds
    )
    for usual in ("disable_snapshot_annotations", "max_concurrent_downloads"):
        yield from _under(images, (usual,), why="")
    yield from _under(images, ("image_decryption", "key_model"), why="")
    yield Rule(("plugins", _OLD, "stream_server_address"), ("streaming", "address"))
    yield Rule(("plugins", _OLD, "stream_server_port"), ("streaming", "port"), values.port)
    for usual in ("stream_idle_timeout", "disable_tcp_service", "enable_tls_streaming"):
        yield Rule(("plugins", _OLD, usual), why="")
    yield Rule(("plugins", _OLD, "x509_key_pair_streaming", "tls_cert_file"), ("streaming", "tls_cert"))
    yield Rule(("plugins", _OLD, "x509_key_pair_streaming", "tls_key_file"), ("streaming", "tls_key"))


def _server() -> Iterator[Rule]:
    for theirs in (("metrics", "address"), ("plugins", "io.containerd.server.v1.metrics", "address")):
        yield Rule(theirs, ("metrics", "port"), values.host_port)
    yield Rule(("debug", "level"), ("log_level",), values.level)
    yield Rule(("version",), why="")
    yield Rule(("oom_score",), why="the service's OOMScoreAdjust= says it")
    yield Rule(("root",), why=_HERE)
    yield Rule(("state",), why=_HERE)
    yield Rule(("imports",), why="translate those files as well; ours go to /etc/criserver/config.d")
    yield Rule(("plugin_dir",), why="")


RULES: tuple[Rule, ...] = (*_handlers(), *_rest(), *_server())
