"""What `build` needs to know, all of it: the request, and everything that somebody else has read or resolved for it.

Only values live here. Whoever fills them does the reading (image, host, configuration); nothing in `spec/` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from criserver.model.container import ContainerConfig, Device, Mount, ProcessUser
from criserver.model.edits import NO_EDITS, Edits, HookRule
from criserver.model.host import HostDevice, SourcePropagation
from criserver.model.image import ImageDefaults
from criserver.model.sandbox import SandboxConfig
from criserver.spec.capabilities import ALL, DEFAULT


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What this host, this daemon and the chosen runtime can do.

    `capabilities`: names that the daemon may pass on (its bounding and permitted sets). `kernel`: major, minor.
    `machine`: uname -m. `seccomp_profile`: the installed RuntimeDefault profile as parsed JSON, None for the built-in
    one. `apparmor_profiles`: loaded profiles, None without AppArmor. `hugepage_sizes`: sizes that a hugetlb controller
    limits ("2MB"), empty without one. `devices`: what a privileged container gets. `recursive_read_only` and
    `idmapped_mounts`: kernel and runtime both can. `maps_single_mounts`: these lack what is mounted below their source.
    """

    cgroup_v2: bool = True
    cgroup_namespaces: bool = True
    capabilities: frozenset[str] = frozenset(ALL)
    oom_score_adj: int = 0
    kernel: tuple[int, int] = (5, 15)
    machine: str = "x86_64"
    seccomp: bool = True
    seccomp_profile: Mapping[str, Any] | None = None
    apparmor_profiles: frozenset[str] | None = None
    apparmor_default: str = ""
    selinux: bool = False
    swap_accounting: bool = True
    hugepage_sizes: frozenset[str] = frozenset()
    devices: tuple[HostDevice, ...] = ()
    recursive_read_only: bool = True
    idmapped_mounts: bool = False
    maps_single_mounts: bool = False
    rdt_classes: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Rlimit:
    """A resource limit by its name in setrlimit(2), e.g. RLIMIT_NOFILE."""

    type: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class DefaultMount:
    """A path of the host that every container of a handler has; `options` are those of mount(8)."""

    source: str
    destination: str
    options: tuple[str, ...] = ("rw",)


@dataclass(frozen=True, slots=True)
class Policy:
    """What the server's configuration says of containers of this handler.

    `allowed_annotations`: annotations that pass from pod and container into the document, by key or by its beginning
    and a "*". `pids_limit` and `minimum_memory` (bytes): 0 for none. `umask`: None leaves the runtime's.
    `seccomp_profile`: what RuntimeDefault means, None for the host's. `base`: the document that containers begin from.
    `block_io`: class → OCI linux.resources.blockIO.
    """

    default_capabilities: tuple[str, ...] = DEFAULT
    default_env: tuple[str, ...] = ()
    rlimits: tuple[Rlimit, ...] = ()
    pids_limit: int = 0
    minimum_memory: int = 0
    umask: int | None = None
    allowed_annotations: frozenset[str] = frozenset()
    privileged_without_host_devices: bool = False
    device_ownership_from_security_context: bool = False
    mounts: tuple[DefaultMount, ...] = ()
    readonly_rootfs: bool = False
    seccomp_profile: Mapping[str, Any] | None = None
    base: Mapping[str, Any] | None = None
    block_io: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ResolvedMount:
    """A mount with its `source` found on the host: symlinks followed, an image volume mounted, a sub path resolved.

    `below`: paths of the host in the source at which something else is mounted.
    """

    mount: Mount
    source: str
    source_propagation: SourcePropagation = SourcePropagation.PRIVATE
    below: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ResolvedDevice:
    """A device of the request with its node; a directory of the host becomes one of these per node in it."""

    device: Device
    node: HostDevice


@dataclass(frozen=True, slots=True)
class SandboxFiles:
    """Host paths of the files that a pod's containers share; an empty one is not mounted.

    `shm` is the directory that becomes /dev/shm, the host's own when the pod lives in the node's IPC namespace.
    """

    hosts: str = ""
    resolv_conf: str = ""
    hostname: str = ""
    shm: str = ""


@dataclass(frozen=True, slots=True)
class SpecWish:
    """Everything about one container, resolved.

    `namespaces`: kind ("net", "ipc", "uts", "pid", "user") → path of the namespace to join; which of them are joined
    is decided by the modes in `config` and `sandbox`. `volumes`: destinations of the image's VOLUMEs with the host
    directory that stands for each. `seccomp_localhost`: the parsed profile that a Localhost reference names.
    `edits`: of the CDI devices asked for. `hooks`: rules of hooks directories. `selinux_level`: the pod's MCS level.
    `home`: from the image's passwd, empty when unknown.
    """

    container_id: str
    sandbox_id: str
    config: ContainerConfig
    sandbox: SandboxConfig
    image: ImageDefaults
    rootfs: str
    cgroups_path: str
    user: ProcessUser = field(default_factory=ProcessUser)
    home: str = ""
    hostname: str = ""
    namespaces: Mapping[str, str] = field(default_factory=dict)
    files: SandboxFiles = field(default_factory=SandboxFiles)
    mounts: tuple[ResolvedMount, ...] = ()
    volumes: tuple[tuple[str, str], ...] = ()
    devices: tuple[ResolvedDevice, ...] = ()
    seccomp_localhost: Mapping[str, Any] | None = None
    selinux_level: str = ""
    edits: Edits = NO_EDITS
    hooks: tuple[HookRule, ...] = ()
    host: HostFacts = field(default_factory=HostFacts)
    policy: Policy = field(default_factory=Policy)

    @property
    def user_namespace(self) -> bool:
        """Whether the pod has a user namespace of its own."""
        return self.sandbox.security.namespace_options.own_userns is not None
