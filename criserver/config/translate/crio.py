"""CRI-O's crio.conf (crio.conf(5) of CRI-O 1.36)."""

from __future__ import annotations

from collections.abc import Iterator

from criserver.config.translate import values
from criserver.config.translate.rules import Rule

_HERE = "each server has directories of its own: images are pulled again, pods made anew"
_MONITOR = "the monitor is our own"
_SAME = (
    "default_capabilities", "default_sysctls", "default_env", "default_ulimits", "default_mounts", "timezone",
    "cdi_spec_dirs",
    "device_ownership_from_security_context", "pids_limit", "read_only",
)  # fmt: skip
_NOT = {
    "seccomp_profile": "say it of a handler: runtime.handlers.NAME.seccomp_profile",
    "apparmor_profile": "the default profile is criserver's own",
    "selinux": "labels are set as a pod asks where the host has SELinux",
    "conmon": _MONITOR, "conmon_cgroup": _MONITOR, "conmon_env": _MONITOR,
    "pinns_path": "namespaces are pinned without a helper",
    "namespaces_dir": "they are pinned below `state`",
    "log_size_max": "the kubelet rotates logs",
    "container_exits_dir": _MONITOR, "container_attach_socket_dir": _MONITOR,
    "drop_infra_ctr": "there is no infra container", "infra_ctr_cpuset": "there is no infra container",
    "ctr_stop_timeout": "the grace period is the caller's",
    "enable_pod_events": "events are always told",
    "blockio_config_file": "say its classes in runtime.block_io_classes",
    "rdt_config_file": "make the classes with the host's own tools (resctrl)",
}  # fmt: skip


def _runtime() -> Iterator[Rule]:
    section = ("crio", "runtime")
    yield Rule((*section, "default_runtime"), ("runtime", "default_handler"))
    yield Rule((*section, "cgroup_manager"), ("runtime", "cgroup_driver"))
    yield Rule((*section, "log_level"), ("log_level",), values.level)
    for name in _SAME:
        say = values.positive if name == "pids_limit" else lambda value: value
        yield Rule((*section, name), ("runtime", name), say)
    yield Rule((*section, "hooks_dir"), ("runtime", "hooks_dirs"))
    for name, why in _NOT.items():
        yield Rule((*section, name), why=why)
    theirs, ours = (*section, "runtimes", "*"), ("runtime", "handlers", "*")
    yield Rule((*theirs, "runtime_path"), (*ours, "path"))
    yield Rule((*theirs, "runtime_root"), (*ours, "root"))
    yield Rule((*theirs, "runtime_type"), (*ours, "type"), _kind)
    yield Rule((*theirs, "allowed_annotations"), (*ours, "annotations"))
    for same in ("seccomp_profile", "privileged_without_host_devices"):
        yield Rule((*theirs, same), (*ours, same))
    yield Rule((*theirs, "container_min_memory"), why="a limit that nothing starts with is refused as it is")
    for own in ("monitor_path", "monitor_cgroup", "monitor_exec_cgroup", "monitor_env"):
        yield Rule((*theirs, own), why=_MONITOR)


def _kind(value: object) -> str | None:
    if value != "oci":
        raise ValueError("only runc, crun and what takes their arguments run here, not other shims")
    return None  # which of the two is said by the handler's name, or by `type`


def _rest() -> Iterator[Rule]:
    for name in ("root", "runroot", "imagestore", "log_dir", "version_file", "clean_shutdown_file"):
        yield Rule(("crio", name), why=_HERE)
    yield Rule(("crio", "storage_driver"), why="overlay is the only one here")
    api = ("crio", "api")
    yield Rule((*api, "listen"), why="point the kubelet at criserver's socket (key listen)")
    yield Rule((*api, "stream_address"), ("streaming", "address"))
    yield Rule((*api, "stream_port"), ("streaming", "port"), values.port)
    yield Rule((*api, "stream_tls_cert"), ("streaming", "tls_cert"))
    yield Rule((*api, "stream_tls_key"), ("streaming", "tls_key"))
    for usual in ("stream_enable_tls", "grpc_max_send_msg_size", "grpc_max_recv_msg_size", "stream_idle_timeout"):
        yield Rule((*api, usual), why="")
    image = ("crio", "image")
    yield Rule((*image, "global_auth_file"), ("image", "auth_file"))
    yield Rule((*image, "signature_policy"), ("image", "policy"))
    yield Rule(("crio", "runtime", "decryption_keys_path"), ("image", "decryption_keys_path"))
    yield Rule((*image, "pinned_images"), ("image", "pinned"))
    yield Rule((*image, "pull_progress_timeout"), ("image", "pull_progress_timeout"), values.seconds)
    yield Rule((*image, "insecure_registries"), why="say it in registries.conf: insecure = true")
    for pause in ("pause_image", "pause_image_auth_file", "pause_command"):
        yield Rule((*image, pause), why="pods need no pause image here")
    yield Rule((*image, "default_transport"), why="")
    network = ("crio", "network")
    yield Rule((*network, "network_dir"), ("network", "conf_dir"))
    yield Rule((*network, "plugin_dirs"), ("network", "bin_dirs"), values.nonempty_list)
    yield Rule((*network, "cni_default_network"), why="the first file by name is the pod network")
    yield Rule(("crio", "metrics", "metrics_host"), ("metrics", "address"))
    yield Rule(("crio", "metrics", "metrics_port"), ("metrics", "port"), values.port)
    yield Rule(("crio", "metrics", "enable_metrics"), why="")
    yield Rule(("crio", "tracing", "tracing_sampling_rate_per_million"), ("tracing", "sampling_rate_per_million"))
    yield Rule(("crio", "tracing", "tracing_endpoint"), ("tracing", "endpoint"), str)
    yield Rule(("crio", "tracing", "enable_tracing"), why="")
    yield Rule(("crio", "stats", "collection_period"), why="readings are taken when asked for")


RULES: tuple[Rule, ...] = (*_runtime(), *_rest())
