"""The container: what was asked (ContainerConfig) and what became of it (Container)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from criserver.model.resources import LinuxResources
from criserver.model.security import ContainerSecurity, IdMapping


class ContainerState(StrEnum):
    """Own states of a container. UNKNOWN: the kernel could not be asked; CREATING and REMOVING are never listed."""

    CREATING = "CREATING"
    CREATED = "CREATED"
    RUNNING = "RUNNING"
    EXITED = "EXITED"
    UNKNOWN = "UNKNOWN"
    REMOVING = "REMOVING"


class Propagation(StrEnum):
    """Mount propagation between host and container (mount_namespaces(7))."""

    PRIVATE = "PRIVATE"
    HOST_TO_CONTAINER = "HOST_TO_CONTAINER"
    BIDIRECTIONAL = "BIDIRECTIONAL"


@dataclass(frozen=True, slots=True)
class ContainerMetadata:
    """CRI ContainerMetadata; (sandbox, name, attempt) is unique among containers."""

    name: str
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """CRI ImageSpec: a reference, id or digest, and what the user wrote."""

    image: str
    annotations: Mapping[str, str] = field(default_factory=dict)
    user_specified_image: str = ""
    runtime_handler: str = ""
    image_ref: str = ""


@dataclass(frozen=True, slots=True)
class Mount:
    """CRI Mount: a host path (or image) that appears in the container."""

    container_path: str
    host_path: str = ""
    readonly: bool = False
    selinux_relabel: bool = False
    propagation: Propagation = Propagation.PRIVATE
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()
    recursive_read_only: bool = False
    image: ImageSpec | None = None
    image_sub_path: str = ""
    mount_options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Device:
    """A host device in the container; permissions from "rwm" (cgroup device rules)."""

    container_path: str
    host_path: str
    permissions: str


@dataclass(frozen=True, slots=True)
class ContainerConfig:
    """CRI ContainerConfig, validated. `stop_signal` is a name such as "SIGUSR1", empty for the image's."""

    metadata: ContainerMetadata
    image: ImageSpec
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    envs: tuple[tuple[str, str], ...] = ()
    mounts: tuple[Mount, ...] = ()
    devices: tuple[Device, ...] = ()
    cdi_devices: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    log_path: str = ""
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False
    resources: LinuxResources = field(default_factory=LinuxResources)
    security: ContainerSecurity = field(default_factory=ContainerSecurity)
    stop_signal: str = ""


@dataclass(frozen=True, slots=True)
class ProcessUser:
    """Who the container's first process is, resolved to numbers (ContainerStatus.user)."""

    uid: int = 0
    gid: int = 0
    additional_gids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Container:
    """A container row. Times are nanoseconds since the epoch, 0 for "not yet".

    `image_id` is the image's id, `log_path` absolute or empty, `pid` the init's pid on the host while it lives.
    `cgroups_path` is what config.json says. `delivered` as in Sandbox. `image_volumes`: container path of each image
    volume → digest of its image.
    """

    id: str
    sandbox_id: str
    config: ContainerConfig
    state: ContainerState
    created_at: int
    image_id: str
    image_ref: str = ""
    runtime_handler: str = ""
    log_path: str = ""
    user: ProcessUser = field(default_factory=ProcessUser)
    stop_signal: str = "SIGTERM"
    cgroups_path: str = ""
    pid: int = 0
    started_at: int = 0
    finished_at: int = 0
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    resources: LinuxResources = field(default_factory=LinuxResources)
    delivered: bool = False
    image_volumes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ContainerFilter:
    """ListContainers' filter; empty parts match all; ids may be unique prefixes."""

    id: str = ""
    sandbox_id: str = ""
    state: ContainerState | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
