"""Every key that there is, with its default and its meaning; `dump.example` and the error messages are made of it.

Values only. A key is documented here and nowhere else. Sections are frozen dataclasses; a mapping of names to
sections (`runtime.handlers`) is written as a dict, since that is what YAML gives.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import TypeVar

T = TypeVar("T")
AUTO = "auto"
"""The `runtime.default_handler` that is chosen when the server starts."""


class LogLevel(StrEnum):
    """How much is logged: each level includes those after it."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class HandlerType(StrEnum):
    """The family of an OCI runtime: which command line and which quirks it has."""

    RUNC = "runc"
    CRUN = "crun"


class CgroupDriver(StrEnum):
    """Who makes cgroups: this server through cgroupfs, or systemd; auto takes systemd where it is process 1."""

    AUTO = "auto"
    CGROUPFS = "cgroupfs"
    SYSTEMD = "systemd"


class MetricGroup(StrEnum):
    """Metrics of pods and containers that go together."""

    CPU = "cpu"
    DISK = "disk"
    DISK_IO = "disk_io"
    HUGETLB = "hugetlb"
    MEMORY = "memory"
    MISC = "misc"
    NETWORK = "network"
    PRESSURE = "pressure"
    PROCESSES = "processes"
    SPEC = "spec"


def _key(default: T, doc: str, *, live: bool = False) -> T:
    """A key with its default; `doc` is its comment in the example configuration.

    A `live` key is asked for at each use, so that a reload changes it (`config/live`); any other needs a restart.
    """
    return field(default=default, metadata={"doc": doc + " [reload]" * live, "live": live})


def _section(kind: type[T], doc: str) -> T:
    """A key that holds other keys."""
    return field(default_factory=kind, metadata={"doc": doc})


def _docs(section: type) -> str:
    """The keys of a section that stands in a mapping, which the example cannot comment one by one."""
    return "; ".join(f"{key.name} ({key.metadata['doc']})" for key in fields(section))


@dataclass(frozen=True, slots=True)
class Handler:
    """One OCI runtime that pods may ask for by name (RuntimeClass.handler)."""

    path: str = _key("", "the binary: an absolute path, or a name looked up in PATH; empty: the handler's name")
    type: HandlerType = _key(HandlerType.RUNC, "which command line the binary understands: runc or crun")
    root: str = _key("", "where the binary keeps its containers' state; empty: a directory of the handler's in `state`")
    annotations: tuple[str, ...] = _key(
        (),
        "annotations of pods and containers that reach the runtime: a key, or the beginning of keys and a *; the "
        "container's count more than the pod's; none of org.systemd.property",
        live=True,
    )
    seccomp_profile: str = _key(
        "", "the profile (containers-common's form, JSON) that RuntimeDefault means here; empty: the host's", live=True
    )
    privileged_without_host_devices: bool = _key(
        False, "whether privileged containers get no device of the host", live=True
    )
    minimum_memory: int | None = _key(
        None,
        "bytes below which a memory limit is refused, as nothing starts with it; null: what the type needs",
        live=True,
    )
    base_spec: str = _key(
        "",
        "an OCI config.json that containers begin from: what neither request nor configuration says comes from it, "
        "except who runs and what it may do; empty: none",
        live=True,
    )


@dataclass(frozen=True, slots=True)
class BlockIoClass:
    """What containers of a class may do with block devices; numbers may end in K, M or G, powers of 1000."""

    weight: int = _key(0, "share of a busy device, 10 to 1000; 0: the default")
    read_bps: tuple[str, ...] = _key((), "'DEVICE NUMBER' each: bytes that may be read per second")
    write_bps: tuple[str, ...] = _key((), "'DEVICE NUMBER' each: bytes that may be written per second")
    read_iops: tuple[str, ...] = _key((), "'DEVICE NUMBER' each: reads per second")
    write_iops: tuple[str, ...] = _key((), "'DEVICE NUMBER' each: writes per second")


def _handlers() -> dict[str, Handler]:
    return {"runc": Handler(), "crun": Handler(type=HandlerType.CRUN)}


@dataclass(frozen=True, slots=True)
class RuntimeConfig:
    """OCI runtimes and cgroups."""

    default_handler: str = _key(
        AUTO, "the handler of pods that name none; auto: crun where it is installed and works on this host, else runc"
    )
    handlers: dict[str, Handler] = field(
        default_factory=_handlers,
        metadata={
            "doc": "handlers by name; those given here are added to these two; a missing binary is left out. Keys of "
            "each: " + _docs(Handler)
        },
    )
    cgroup_driver: CgroupDriver = _key(
        CgroupDriver.AUTO, "auto, cgroupfs or systemd; must be the kubelet's; auto is systemd where it is process 1"
    )
    cdi_spec_dirs: tuple[str, ...] = _key(
        ("/etc/cdi", "/var/run/cdi"), "directories of CDI files (JSON, YAML), the later one counting more", live=True
    )
    hooks_dirs: tuple[str, ...] = _key(
        ("/usr/share/containers/oci/hooks.d",),
        "directories of files that add hooks to containers (oci-hooks(5)), the later one counting more",
        live=True,
    )
    default_capabilities: tuple[str, ...] | None = _key(
        None,
        "capabilities of containers before a request adds and drops some; null: the fourteen that are usual",
        live=True,
    )
    default_sysctls: tuple[str, ...] = _key(
        (), "KEY=VALUE: sysctls of pods that have the namespace for themselves and say nothing else", live=True
    )
    default_env: tuple[str, ...] = _key(
        (), "NAME=VALUE: variables of containers; image and request count more", live=True
    )
    default_ulimits: tuple[str, ...] = _key(
        (), "NAME=SOFT:HARD as in nofile=1024:4096: limits of processes; -1: none", live=True
    )
    default_mounts: tuple[str, ...] = _key(
        (),
        "SOURCE:DESTINATION or SOURCE:DESTINATION:OPTION,...: paths of the host in containers, as in /a:/b:ro,exec",
        live=True,
    )
    block_io_classes: dict[str, BlockIoClass] = field(
        default_factory=dict,
        metadata={
            "doc": "classes that pods choose by the annotation blockio.resources.beta.kubernetes.io/pod, or "
            "/container.NAME for one container [reload]. Keys of each: " + _docs(BlockIoClass),
            "live": True,
        },
    )
    read_only: bool = _key(
        False, "whether all containers' roots are read-only, with /run, /tmp and /var/tmp in memory", live=True
    )
    timezone: str = _key(
        "", "zone of containers, as in Europe/Berlin; Local: the host's; empty: the image's", live=True
    )
    umask: str = _key("", "umask of containers' processes, octal, as in '0022'; empty: 0022", live=True)
    pids_limit: int = _key(0, "processes and threads that a container may have; 0: as many as its pod", live=True)
    shm_size: int = _key(64 << 20, "bytes of a pod's /dev/shm", live=True)
    device_ownership_from_security_context: bool = _key(
        False, "whether devices that a container asks for belong to its user, and not to the host's owner", live=True
    )


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """CNI: where configurations and plugins are."""

    conf_dir: str = _key("/etc/cni/net.d", "the first .conflist or .conf here, by name, is the pod network")
    bin_dirs: tuple[str, ...] = _key(("/opt/cni/bin", "/usr/lib/cni"), "where plugins are looked for, in this order")
    plugin_timeout: float = _key(60.0, "seconds that one plugin call may take")
    default_conflist: bool = _key(
        False,
        "whether a node without any CNI configuration has the embedded bridge network; with false it is not ready, as "
        "a kubelet wants it whose network add-on brings the configuration later",
    )


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """Pulling and keeping images."""

    skopeo: str = _key("skopeo", "the skopeo binary: an absolute path, or a name looked up in PATH")
    registries_conf: str = _key("", "registries.conf (containers-registries.conf(5)); empty: skopeo's own default")
    policy: str = _key("", "policy.json (containers-policy.json(5)); empty: skopeo's own default")
    registries_d: str = _key("", "where signatures are kept (containers-registries.d(5)); empty: skopeo's own default")
    auth_file: str = _key("", "credentials for pulls without any (containers-auth.json(5)); empty: none")
    decryption_keys_path: str = _key("", "directory of private keys (PEM) for encrypted layers; empty: none")
    store: str = _key("", "directory of images and layers, on a disk of their own for example; empty: root")
    additional_stores: tuple[str, ...] = _key(
        (),
        "root directories of other servers, which have stopped: their images are used and never written or removed; "
        "made with `criserver serve --root` and `criserver load`",
    )
    namespaced_auth_dir: str = _key(
        "",
        "directory of credentials for the pods of one namespace: NAMESPACE-HASH.json, the sha256 of the image's name "
        "without tag and digest, instead of auth_file (as the credential provider of CRI-O writes them); empty: none",
    )
    max_concurrent_pulls: int = _key(10, "pulls at a time; more of them wait")
    pull_memory_limit: int = _key(0, "bytes of memory for all that pulls run, in a cgroup of their own; 0: any")
    pull_progress_timeout: float = _key(60.0, "seconds without a byte after which a pull is given up")
    pinned: tuple[str, ...] = _key((), "references or globs whose images the kubelet must not remove", live=True)


@dataclass(frozen=True, slots=True)
class StreamingConfig:
    """The server that exec, attach and port-forward sessions connect to; URLs with a secret lead to it."""

    address: str = _key("127.0.0.1", "the address to listen on; the kubelet connects from this host")
    port: int = _key(0, "the port to listen on; 0: any free one")
    tls_cert: str = _key("", "a certificate chain (PEM): then URLs are https; read anew when it changes; empty: none")
    tls_key: str = _key("", "the certificate's key (PEM); empty: none")


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """The Prometheus endpoint."""

    address: str = _key("127.0.0.1", "the address to listen on")
    port: int | None = _key(None, "the port to listen on; null: no endpoint; 0: any free one")


@dataclass(frozen=True, slots=True)
class TracingConfig:
    """OpenTelemetry: spans of pods and containers being made, for a collector."""

    endpoint: str = _key(
        "",
        "the collector (OTLP over gRPC): host:port, or a URL with http or https; empty: none; needs the packages of "
        "pip install 'criserver[otel]'",
    )
    sampling_rate_per_million: int = _key(
        0, "how many of a million operations are sent that no caller traces; where the kubelet traces, it decides"
    )


@dataclass(frozen=True, slots=True)
class StatsConfig:
    """What pods and containers use, as the kubelet asks for it."""

    collection_period: float = _key(1.0, "seconds for which one reading serves everybody who asks")
    metric_groups: tuple[MetricGroup, ...] = _key(
        tuple(MetricGroup), "groups of the metrics that the kubelet gets for its /metrics/cadvisor; these are all"
    )


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration, with every default filled in."""

    listen: str = _key("unix:///run/criserver/criserver.sock", "where the CRI is served: a unix socket")
    root: str = _key("/var/lib/criserver", "images, layers and the database; survives a reboot")
    state: str = _key("/run/criserver", "monitors, namespaces and sockets; gone at a reboot")
    log_level: LogLevel = _key(LogLevel.INFO, "debug, info, warning or error", live=True)
    runtime: RuntimeConfig = _section(RuntimeConfig, "OCI runtimes and cgroups")
    network: NetworkConfig = _section(NetworkConfig, "CNI")
    image: ImageConfig = _section(ImageConfig, "pulling and keeping images")
    streaming: StreamingConfig = _section(StreamingConfig, "exec, attach and port-forward")
    metrics: MetricsConfig = _section(MetricsConfig, "the Prometheus endpoint")
    tracing: TracingConfig = _section(TracingConfig, "OpenTelemetry")
    stats: StatsConfig = _section(StatsConfig, "use of CPU, memory, disk and network by pods and containers")

    @property
    def store(self) -> str:
        """The directory of images and layers."""
        return self.image.store or self.root

    @property
    def socket_path(self) -> str:
        """The path in `listen`."""
        return self.listen.removeprefix("unix://")
