"""Every key that there is, with its default and its meaning; `dump.example` and the error messages are made of it.

Values only. A key is documented here and nowhere else. Sections are frozen dataclasses; a mapping of names to
sections (`runtime.handlers`) is written as a dict, since that is what YAML gives.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

T = TypeVar("T")


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
    return field(default=default, metadata={"doc": doc, "live": live})


def _section(kind: type[T], doc: str) -> T:
    """A key that holds other keys."""
    return field(default_factory=kind, metadata={"doc": doc})


@dataclass(frozen=True, slots=True)
class Handler:
    """One OCI runtime that pods may ask for by name (RuntimeClass.handler)."""

    path: str = _key("", "the binary: an absolute path, or a name looked up in PATH; empty: the handler's name")
    type: HandlerType = _key(HandlerType.RUNC, "which command line the binary understands: runc or crun")


def _handlers() -> dict[str, Handler]:
    return {"runc": Handler(), "crun": Handler(type=HandlerType.CRUN)}


@dataclass(frozen=True, slots=True)
class RuntimeConfig:
    """OCI runtimes and cgroups."""

    default_handler: str = _key("runc", "the handler of pods that name none")
    handlers: dict[str, Handler] = field(
        default_factory=_handlers,
        metadata={"doc": "handlers by name; those given here are added to these two; a missing binary is left out"},
    )
    cgroup_driver: CgroupDriver = _key(
        CgroupDriver.AUTO, "auto, cgroupfs or systemd; must be the kubelet's; auto is systemd where it is process 1"
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
    auth_file: str = _key("", "credentials for pulls without any (containers-auth.json(5)); empty: none")
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
    stats: StatsConfig = _section(StatsConfig, "use of CPU, memory, disk and network by pods and containers")

    @property
    def socket_path(self) -> str:
        """The path in `listen`."""
        return self.listen.removeprefix("unix://")
