"""Security contexts of sandboxes and containers, namespaces and profiles, from and to protobuf."""

from __future__ import annotations

from collections.abc import Sequence

from criserver.api.convert import fields
from criserver.api.pb import api_pb2 as pb
from criserver.errors import InvalidArgument
from criserver.model.security import (
    Capabilities,
    ContainerSecurity,
    GroupsPolicy,
    IdMapping,
    NamespaceMode,
    NamespaceOptions,
    ProfileType,
    SandboxSecurity,
    SecurityProfile,
    SelinuxOptions,
    UserNamespace,
)
from criserver.spec import checks
from criserver.spec.user import MAX_ID

_MODES: dict[int, NamespaceMode] = {number: NamespaceMode(name) for name, number in pb.NamespaceMode.items()}
_MODE_NUMBERS = {mode: pb.NamespaceMode.Value(mode.value) for mode in NamespaceMode}
_POLICIES: dict[int, GroupsPolicy] = {n: GroupsPolicy(name) for name, n in pb.SupplementalGroupsPolicy.items()}
_PROFILES: dict[int, ProfileType] = {n: ProfileType(name) for name, n in pb.SecurityProfile.ProfileType.items()}
# The kernel takes as many lines in uid_map (user_namespaces(7)).
_MAPPINGS_LIMIT = 340
_LIST_LIMIT = 1024


def sandbox_security(given: pb.LinuxSandboxSecurityContext, field: str) -> SandboxSecurity:
    """LinuxSandboxSecurityContext; InvalidArgument names what is wrong."""
    user, group = _ids(given, field)
    if group is not None and user is None:
        raise InvalidArgument(f"{field}.run_as_group: {group} without run_as_user; give the user as well")
    return SandboxSecurity(
        namespace_options=sandbox_namespaces(given.namespace_options, f"{field}.namespace_options"),
        selinux=_selinux(given, field),
        run_as_user=user,
        run_as_group=group,
        readonly_rootfs=given.readonly_rootfs,
        supplemental_groups=_groups(given.supplemental_groups, field),
        supplemental_groups_policy=_policy(given.supplemental_groups_policy, field),
        privileged=given.privileged,
        seccomp=_seccomp(given, field),
        apparmor=_profile(given.apparmor, f"{field}.apparmor") if given.HasField("apparmor") else None,
    )


def container_security(
    given: pb.LinuxContainerSecurityContext, pod: pb.NamespaceOption, field: str
) -> ContainerSecurity:
    """LinuxContainerSecurityContext; a container that says nothing of namespaces takes those of its `pod`."""
    user, group = _ids(given, field)
    options = given.namespace_options if given.HasField("namespace_options") else pod
    return ContainerSecurity(
        namespace_options=_namespaces(options, f"{field}.namespace_options"),
        capabilities=_capabilities(given.capabilities, f"{field}.capabilities"),
        privileged=given.privileged,
        selinux=_selinux(given, field),
        run_as_user=user,
        run_as_group=group,
        run_as_username=fields.line(given.run_as_username, f"{field}.run_as_username"),
        readonly_rootfs=given.readonly_rootfs,
        supplemental_groups=_groups(given.supplemental_groups, field),
        supplemental_groups_policy=_policy(given.supplemental_groups_policy, field),
        no_new_privs=given.no_new_privs,
        masked_paths=_paths(given.masked_paths, f"{field}.masked_paths"),
        readonly_paths=_paths(given.readonly_paths, f"{field}.readonly_paths"),
        seccomp=_seccomp(given, field),
        apparmor=_apparmor(given, field),
    )


def namespace_options_pb(options: NamespaceOptions) -> pb.NamespaceOption:
    """NamespaceOption, for a sandbox's status."""
    result = pb.NamespaceOption(
        network=_MODE_NUMBERS[options.network],
        pid=_MODE_NUMBERS[options.pid],
        ipc=_MODE_NUMBERS[options.ipc],
        target_id=options.target_id,
    )
    if options.userns is not None:
        result.userns_options.mode = _MODE_NUMBERS[options.userns.mode]
        result.userns_options.uids.extend(mappings_pb(options.userns.uids))
        result.userns_options.gids.extend(mappings_pb(options.userns.gids))
    return result


def mappings(given: Sequence[pb.IDMapping], field: str) -> tuple[IdMapping, ...]:
    """ID mappings; none may be empty or run past the last id, and there are not more than the kernel takes."""
    if len(given) > _MAPPINGS_LIMIT:
        raise InvalidArgument(f"{field}: {len(given)} mappings; give at most {_MAPPINGS_LIMIT}")
    for mapping in given:
        last = max(mapping.host_id, mapping.container_id) + mapping.length - 1
        if not mapping.length or last >= 2**32 - 1:
            raise InvalidArgument(f"{field}: a mapping of {mapping.length} ids up to {last}; give 1 up to {2**32 - 2}")
    return tuple(IdMapping(m.host_id, m.container_id, m.length) for m in given)


def mappings_pb(given: Sequence[IdMapping]) -> list[pb.IDMapping]:
    """ID mappings back."""
    return [pb.IDMapping(host_id=m.host_id, container_id=m.container_id, length=m.length) for m in given]


def sandbox_namespaces(given: pb.NamespaceOption, field: str) -> NamespaceOptions:
    """NamespaceOption of a sandbox, where only a container's TARGET has no meaning."""
    options = _namespaces(given, field)
    if options.pid is NamespaceMode.TARGET:
        raise InvalidArgument(
            f"{field}.pid: TARGET, but a pod sandbox has no container yet; give POD, CONTAINER or NODE"
        )
    return options


def _namespaces(given: pb.NamespaceOption, field: str) -> NamespaceOptions:
    network, ipc = _pod_or_node(given.network, f"{field}.network"), _pod_or_node(given.ipc, f"{field}.ipc")
    pid = fields.choice(given.pid, _MODES, f"{field}.pid")
    if pid is NamespaceMode.TARGET and not given.target_id:
        raise InvalidArgument(f"{field}.target_id: empty, but pid is TARGET; give the id of a container of this pod")
    target = fields.line(given.target_id, f"{field}.target_id")
    has_userns = given.HasField("userns_options")
    userns = _user_namespace(given.userns_options, f"{field}.userns_options") if has_userns else None
    return NamespaceOptions(network, pid, ipc, target, userns)


def _user_namespace(given: pb.UserNamespace, field: str) -> UserNamespace:
    mode = _pod_or_node(given.mode, f"{field}.mode")
    uids, gids = mappings(given.uids, f"{field}.uids"), mappings(given.gids, f"{field}.gids")
    if mode is NamespaceMode.POD and not (uids and gids):
        raise InvalidArgument(f"{field}: mode POD without mappings of uids and gids; give both, or mode NODE")
    return UserNamespace(mode, uids, gids)


def _pod_or_node(number: int, field: str) -> NamespaceMode:
    mode = fields.choice(number, _MODES, field)
    if mode not in (NamespaceMode.POD, NamespaceMode.NODE):
        raise InvalidArgument(f"{field}: {mode} has no meaning here; give POD or NODE")
    return mode


def _ids(
    given: pb.LinuxSandboxSecurityContext | pb.LinuxContainerSecurityContext, field: str
) -> tuple[int | None, int | None]:
    user = given.run_as_user.value if given.HasField("run_as_user") else None
    group = given.run_as_group.value if given.HasField("run_as_group") else None
    for number, name in ((user, "run_as_user"), (group, "run_as_group")):
        if number is not None:
            checks.number(number, 0, MAX_ID, f"{field}.{name}")
    return user, group


def _groups(given: Sequence[int], field: str) -> tuple[int, ...]:
    _bounded(given, f"{field}.supplemental_groups")
    return tuple(checks.number(gid, 0, MAX_ID, f"{field}.supplemental_groups") for gid in given)


def _policy(number: int, field: str) -> GroupsPolicy:
    return fields.choice(number, _POLICIES, f"{field}.supplemental_groups_policy")


def _capabilities(given: pb.Capability, field: str) -> Capabilities:
    for names in (given.add_capabilities, given.drop_capabilities, given.add_ambient_capabilities):
        _bounded(names, field)
    return Capabilities(
        tuple(given.add_capabilities), tuple(given.drop_capabilities), tuple(given.add_ambient_capabilities)
    )


def _paths(given: Sequence[str], field: str) -> tuple[str, ...]:
    _bounded(given, field)
    return tuple(checks.absolute_path(path, field) for path in given)


def _bounded(given: Sequence[object], field: str) -> None:
    if len(given) > _LIST_LIMIT:
        raise InvalidArgument(f"{field}: {len(given)} entries; give at most {_LIST_LIMIT}")


def _selinux(
    given: pb.LinuxSandboxSecurityContext | pb.LinuxContainerSecurityContext, field: str
) -> SelinuxOptions | None:
    if not given.HasField("selinux_options"):
        return None
    options, place = given.selinux_options, f"{field}.selinux_options"
    parts = (options.user, options.role, options.type, options.level)
    return SelinuxOptions(*(fields.line(part, place) for part in parts)) if any(parts) else None


def _profile(given: pb.SecurityProfile, field: str) -> SecurityProfile:
    kind = fields.choice(given.profile_type, _PROFILES, f"{field}.profile_type")
    if kind is ProfileType.LOCALHOST and not given.localhost_ref:
        # An empty reference must not end as "unconfined" (CVE-2023-2431).
        raise InvalidArgument(f"{field}.localhost_ref: empty, but profile_type is Localhost; give the profile")
    if kind is not ProfileType.LOCALHOST and given.localhost_ref:
        raise InvalidArgument(
            f"{field}.localhost_ref: {given.localhost_ref[:80]!r} with {kind}; give it with Localhost"
        )
    return SecurityProfile(kind, fields.line(given.localhost_ref, f"{field}.localhost_ref"))


def _seccomp(
    given: pb.LinuxSandboxSecurityContext | pb.LinuxContainerSecurityContext, field: str
) -> SecurityProfile | None:
    """The seccomp profile, or what the deprecated field says; a localhost one is an absolute path."""
    if given.HasField("seccomp"):
        profile: SecurityProfile | None = _profile(given.seccomp, f"{field}.seccomp")
    else:
        profile = _legacy(given.seccomp_profile_path, f"{field}.seccomp_profile_path")
    if profile is not None and profile.profile_type is ProfileType.LOCALHOST:
        return SecurityProfile(
            ProfileType.LOCALHOST, checks.absolute_path(profile.localhost_ref, f"{field}.seccomp.localhost_ref")
        )
    return profile


def _apparmor(given: pb.LinuxContainerSecurityContext, field: str) -> SecurityProfile | None:
    if given.HasField("apparmor"):
        return _profile(given.apparmor, f"{field}.apparmor")
    return _legacy(given.apparmor_profile, f"{field}.apparmor_profile")


def _legacy(text: str, field: str) -> SecurityProfile | None:
    """A profile in its old form: "", "runtime/default", "unconfined" or "localhost/NAME"."""
    if not text:
        return None
    if text in ("runtime/default", "docker/default"):
        return SecurityProfile(ProfileType.RUNTIME_DEFAULT)
    if text == "unconfined":
        return SecurityProfile(ProfileType.UNCONFINED)
    kind, _, reference = text.partition("/")
    if kind != "localhost" or not reference:
        raise InvalidArgument(
            f"{field}: {text[:80]!r} is not a profile; give runtime/default, unconfined or localhost/NAME"
        )
    return SecurityProfile(ProfileType.LOCALHOST, fields.line(reference, field))
