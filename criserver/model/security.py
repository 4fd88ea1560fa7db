"""Who a process is and what it may do, as the CRI states it (security contexts, namespaces, profiles)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class NamespaceMode(StrEnum):
    """Whose namespace is used: the pod's, the container's own, the node's, or another container's (TARGET)."""

    POD = "POD"
    CONTAINER = "CONTAINER"
    NODE = "NODE"
    TARGET = "TARGET"


class GroupsPolicy(StrEnum):
    """Merge: groups of the image's /etc/group count too; Strict: only those asked for."""

    MERGE = "Merge"
    STRICT = "Strict"


class ProfileType(StrEnum):
    """Where a seccomp or AppArmor profile comes from."""

    RUNTIME_DEFAULT = "RuntimeDefault"
    UNCONFINED = "Unconfined"
    LOCALHOST = "Localhost"


@dataclass(frozen=True, slots=True)
class SecurityProfile:
    """A seccomp or AppArmor profile; `localhost_ref` only with Localhost."""

    profile_type: ProfileType = ProfileType.RUNTIME_DEFAULT
    localhost_ref: str = ""


@dataclass(frozen=True, slots=True)
class IdMapping:
    """`length` ids from `container_id` on are `host_id` and following on the host (user_namespaces(7))."""

    host_id: int
    container_id: int
    length: int


@dataclass(frozen=True, slots=True)
class UserNamespace:
    """User namespace of a pod: mode POD (own, with mappings) or NODE (the host's)."""

    mode: NamespaceMode = NamespaceMode.NODE
    uids: tuple[IdMapping, ...] = ()
    gids: tuple[IdMapping, ...] = ()

    def on_host(self, uid: int, gid: int) -> tuple[int, int]:
        """What the ids of a user inside are on the host; those that are not mapped are the pod's root's."""
        return _on_host(self.uids, uid), _on_host(self.gids, gid)


def _on_host(mappings: tuple[IdMapping, ...], inside: int) -> int:
    for each in mappings:
        if each.container_id <= inside < each.container_id + each.length:
            return each.host_id + inside - each.container_id
    return mappings[0].host_id


@dataclass(frozen=True, slots=True)
class Idmap:
    """How a pod with a user namespace sees files of the host: the namespace's path, and its ids."""

    namespace: str
    ids: UserNamespace


@dataclass(frozen=True, slots=True)
class NamespaceOptions:
    """CRI NamespaceOption. `target_id` is the container whose PID namespace is joined with TARGET."""

    network: NamespaceMode = NamespaceMode.POD
    pid: NamespaceMode = NamespaceMode.POD
    ipc: NamespaceMode = NamespaceMode.POD
    target_id: str = ""
    userns: UserNamespace | None = None

    @property
    def own_userns(self) -> UserNamespace | None:
        """The user namespace that the pod has for itself; None when it lives in the node's."""
        return self.userns if self.userns is not None and self.userns.mode is NamespaceMode.POD else None


@dataclass(frozen=True, slots=True)
class SelinuxOptions:
    """Parts of an SELinux label; empty parts take the host policy's default."""

    user: str = ""
    role: str = ""
    type: str = ""
    level: str = ""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Capabilities by name, with or without CAP_; "ALL" stands for all of them."""

    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    add_ambient: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SandboxSecurity:
    """LinuxSandboxSecurityContext. None for run_as_* means "not asked for", which is not uid 0."""

    namespace_options: NamespaceOptions = field(default_factory=NamespaceOptions)
    selinux: SelinuxOptions | None = None
    run_as_user: int | None = None
    run_as_group: int | None = None
    readonly_rootfs: bool = False
    supplemental_groups: tuple[int, ...] = ()
    supplemental_groups_policy: GroupsPolicy = GroupsPolicy.MERGE
    privileged: bool = False
    seccomp: SecurityProfile | None = None
    apparmor: SecurityProfile | None = None


@dataclass(frozen=True, slots=True)
class ContainerSecurity:
    """LinuxContainerSecurityContext. None for a profile means "not asked for" (Unconfined, as the CRI has it)."""

    namespace_options: NamespaceOptions = field(default_factory=NamespaceOptions)
    capabilities: Capabilities = field(default_factory=Capabilities)
    privileged: bool = False
    selinux: SelinuxOptions | None = None
    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_username: str = ""
    readonly_rootfs: bool = False
    supplemental_groups: tuple[int, ...] = ()
    supplemental_groups_policy: GroupsPolicy = GroupsPolicy.MERGE
    no_new_privs: bool = False
    masked_paths: tuple[str, ...] = ()
    readonly_paths: tuple[str, ...] = ()
    seccomp: SecurityProfile | None = None
    apparmor: SecurityProfile | None = None
